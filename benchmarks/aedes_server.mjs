// An aedes broker on 127.0.0.1, as aedes' documentation recommends: node aedes_server.mjs PORT
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
createServer(broker.handle).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 1024 })
