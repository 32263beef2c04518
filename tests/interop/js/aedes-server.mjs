// Aedes on a free port of this machine, which it prints.

import { createServer } from "node:net";

import { Aedes } from "aedes";

const aedes = await Aedes.createBroker();
const server = createServer(aedes.handle);
server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
