// One MQTT.js client: sends a megabyte to itself at URL, trusting the authority in the file CA and
// showing the certificate in the file CERTIFICATE, and says how many bytes came back.
// node listeners.mjs URL CA [CERTIFICATE]

import { readFileSync } from "node:fs";

import mqtt from "mqtt";

const [url, ca, certificate] = process.argv.slice(2);
const own = certificate ? readFileSync(certificate) : undefined;
const client = mqtt.connect(url, {
  ca: readFileSync(ca),
  cert: own,
  key: own,
  reconnectPeriod: 0,
  connectTimeout: 20_000,
});
const fail = (error) => {
  console.error(String(error));
  process.exit(1);
};
client.on("error", fail);
client.on("close", () => fail("closed"));
client.on("message", (topic, payload) => {
  console.log(payload.length);
  process.exit(0);
});
client.on("connect", async () => {
  await client.subscribeAsync("listeners/js", { qos: 1 });
  await client.publishAsync("listeners/js", Buffer.alloc(1 << 20, "x"), { qos: 1 });
});
