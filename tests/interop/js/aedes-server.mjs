// Aedes on a free port of this machine, which it prints. Its options are an argument, as JSON.

import { createServer } from "node:net";

import { Aedes } from "aedes";

const aedes = await Aedes.createBroker(JSON.parse(process.argv[2] ?? "{}"));
const server = createServer(aedes.handle);
server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
