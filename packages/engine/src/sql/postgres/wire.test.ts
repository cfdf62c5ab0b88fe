import assert from "node:assert/strict"
import { test } from "node:test"
import { Client } from "pg"
import { parseWire } from "./wire.js"

const PROTECTIONS = [
  ["postgres://ann@a/store?sslmode=verify-full", "verifiedTls"],
  ["postgres://ann@a/store?sslmode=no-verify", "unverifiedTls"],
  ["postgres://ann@a/store?uselibpqcompat=true&sslmode=require", "unverifiedTls"],
  ["postgres://ann@a/store?sslmode=disable", "none"],
  ["postgres://ann@a/store", "none"],
  ["postgres:///store?host=/run/postgresql", "unixSocket"],
  ["postgres://%2Frun%2Fpostgresql/store", "unixSocket"],
] as const
for (const [url, protection] of PROTECTIONS) {
  test(`${url}: ${protection}`, () => {
    assert.equal(parseWire(new Client({ connectionString: url })).protection, protection)
  })
}
