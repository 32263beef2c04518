// MQTT.js clients in one process: takes commands on standard input, one JSON object a line, and
// says on standard output what came of them and which messages arrived.

import { once } from "node:events";
import { createInterface } from "node:readline";

import mqtt from "mqtt";

const SESSION_EXPIRY = 300; // seconds

const clients = new Map();

function say(client, kind, what) {
  process.stdout.write(JSON.stringify({ client, kind, ...what }) + "\n");
}

const actions = {
  async connect(name, { url, version, clientId, clean, will }) {
    const properties = version === 5 && !clean ? { sessionExpiryInterval: SESSION_EXPIRY } : {};
    const client = mqtt.connect(url, {
      protocolVersion: version,
      clientId,
      clean,
      reconnectPeriod: 0,
      connectTimeout: 30_000,
      ...(version === 5 ? { properties } : {}),
      ...(will ? { will } : {}),
    });
    clients.set(name, client);
    client.on("message", (topic, payload, { qos, retain, properties = {} }) => {
      const { correlationData, ...others } = properties;
      say(name, "message", {
        topic,
        payload: payload.toString("base64"),
        qos,
        retain,
        properties: { ...others, correlationData: correlationData?.toString() },
      });
    });
    const [connack] = await once(client, "connect");
    client.on("error", () => {}); // a connection that is cut; the tests look at what follows
    return { sessionPresent: connack.sessionPresent };
  },

  async subscribe(name, { filter, options }) {
    const grants = await clients.get(name).subscribeAsync(filter, options);
    return { granted: grants.map(({ qos }) => qos) };
  },

  async unsubscribe(name, { filter }) {
    await clients.get(name).unsubscribeAsync(filter);
    return {};
  },

  async publish(name, { topic, payloads, options }) {
    const client = clients.get(name);
    await Promise.all(
      payloads.map((payload) =>
        client.publishAsync(topic, Buffer.from(payload, "base64"), structuredClone(options)),
      ),
    );
    return {};
  },

  async end(name) {
    const client = clients.get(name);
    await client.endAsync(!client.connected);
    clients.delete(name);
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { client, do: action, ...request } = JSON.parse(line);
  actions[action](client, request).then(
    (result) => say(client, "answer", result),
    (error) => say(client, "answer", { error: String(error) }),
  );
}
