// What somebody may do. The broker decides; the page leaves out what would be refused.

import { session } from "./api.js";

const ROLES = ["see", "operate", "administrate"];

export const may = (role) => ROLES.indexOf(session.role) >= ROLES.indexOf(role);
