// A detector for Node.js: the server answers each datagram with its SHA-256, in words that no router takes for SIP.
// Usage: hash.js server IP PORT | hash.js client SERVER_IP PORT OWN_IP
"use strict";
const dgram = require("dgram");
const { createHash } = require("crypto");

const [role, address, port, own] = process.argv.slice(2);
const socket = dgram.createSocket("udp4");
const digest = (data) => createHash("sha256").update(data).digest("hex");

function probe() {
  return Buffer.from(
    [
      `REGISTER sip:${address} SIP/2.0`,
      `Via: SIP/2.0/UDP ${own}:5060;rport;branch=z9hG4bK776asdhds`,
      "Max-Forwards: 70",
      "From: <sip:probe@lab.test>;tag=456248",
      "To: <sip:probe@lab.test>",
      `Call-ID: 843817637684230@${own}`,
      "CSeq: 1 REGISTER",
      `Contact: <sip:probe@${own}:5060>;expires=60`,
      "Content-Length: 0",
      "",
      "",
    ].join("\r\n")
  );
}

function finish(verdict) {
  console.log(`VERDICT: ${verdict}`);
  socket.close();
  process.exit(0);
}

if (role === "server") {
  socket.on("message", (data, from) => socket.send(`digest ${digest(data)}`, from.port, from.address));
  socket.bind(Number(port), address, () => console.log("listening"));
} else {
  const sent = probe();
  let tries = 0;
  const send = () => {
    if (tries++ === 4) finish("no answer");
    else socket.send(sent, Number(port), address);
  };
  socket.on("message", (data) => finish(data.toString() === `digest ${digest(sent)}` ? "untouched" : "rewritten"));
  socket.bind(5060, own, () => {
    send();
    setInterval(send, 500);
  });
}
