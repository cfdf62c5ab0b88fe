/** Which addresses count as one client. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { clientOf } from "./client-address.js"

test("an IPv4 address is one client, also as a socket for both protocols shows it", () => {
  assert.equal(clientOf("192.0.2.7"), "192.0.2.7")
  assert.equal(clientOf("::ffff:192.0.2.7"), "192.0.2.7")
  assert.notEqual(clientOf("::ffff:192.0.2.8"), clientOf("192.0.2.7"))
  assert.equal(clientOf(""), "", "a socket that is closed already")
})

test("all IPv6 addresses of one prefix of 64 bits are one client", () => {
  const client = clientOf("2001:db8:1:2::1")
  assert.equal(client, "2001:db8:1:2::/64")
  for (const same of ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1:2:ffff::9", "2001:db8:1:2::192.0.2.7"])
    assert.equal(clientOf(same), client, same)
  for (const other of ["2001:db8:1:3::1", "2001:db8:1::1", "2001:db8:2:2::1", "::1", "fe80::1"])
    assert.notEqual(clientOf(other), client, other)
})

test("zeros count wherever the address is compressed, and a zone does not", () => {
  assert.equal(clientOf("2001:db8::5:6:7:8"), "2001:db8:0:0::/64")
  assert.equal(clientOf("2001:db8::1"), clientOf("2001:db8:0:0:8:7:6:5"))
  assert.equal(clientOf("::1"), "0:0:0:0::/64")
  assert.equal(clientOf("fe80::1%eth0"), clientOf("fe80::2%eth1"))
})
