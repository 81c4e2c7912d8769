// A detector for Node.js that has the server decide: the header P-AL-SA has the client's own endpoint in a form
// that no router takes for an address, and the server looks whether the first Via still names it.
// Usage: hidden-source.js server IP PORT | hidden-source.js client SERVER_IP PORT OWN_IP
"use strict";
const dgram = require("dgram");

const [role, address, port, own] = process.argv.slice(2);
const socket = dgram.createSocket("udp4");
const field = (text, name) => (text.match(new RegExp(`^${name}:\\s*(.*)\\r$`, "im")) || [])[1];

function request() {
  return [
    `REGISTER sip:${address} SIP/2.0`,
    `Via: SIP/2.0/UDP ${own}:5060;rport;branch=z9hG4bK1f`,
    "Max-Forwards: 70",
    "From: <sip:probe@lab.test>;tag=1",
    "To: <sip:probe@lab.test>",
    "Call-ID: 1f2e3d",
    "CSeq: 1 REGISTER",
    `Contact: <sip:probe@${own}:5060>`,
    `P-AL-SA: ${own.replace(/\./g, "*")}#5060`,
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

function answer(text) {
  const [hidden] = (field(text, "P-AL-SA") || "").replace(/\*/g, ".").split("#");
  const via = field(text, "Via") || "";
  const result = hidden && via.includes(hidden) ? "Pass" : "Failed. SIP ALG Detected";
  const copied = ["Via", "From", "To", "Call-ID", "CSeq"].map((name) => `${name}: ${field(text, name)}`);
  return ["SIP/2.0 200 OK", ...copied, `P-AL-Result: ${result}`, "Content-Length: 0", "", ""].join("\r\n");
}

function finish(result) {
  console.log(result);
  process.exit(0);
}

if (role === "server") {
  socket.on("message", (data, from) => {
    if (field(data.toString(), "P-AL-SA")) socket.send(answer(data.toString()), from.port, from.address);
  });
  socket.bind(Number(port), address, () => console.log("listening"));
} else {
  socket.on("message", (data) => finish(field(data.toString(), "P-AL-Result")));
  socket.bind(5060, own, () => {
    socket.send(request(), Number(port), address);
    setTimeout(() => finish("Failed. No response"), 5000);
  });
}
