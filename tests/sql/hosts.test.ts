/** A URL of several hosts: the one that accepts writes is found, whatever the others do. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer, type AddressInfo, type Socket } from "node:net"
import { test } from "node:test"
import { ConnectionLost } from "@hayloft/engine/sql/database.js"
import { Postgres } from "@hayloft/engine/sql/index.js"
import { freePort } from "../harness/free-port.js"
import { noPostgres, PostgresServer } from "../harness/postgres.js"

const urlOf = (ports: readonly number[]): string =>
  `postgres://hayloft@${ports.map(port => `127.0.0.1:${port}`).join(",")}/hayloft`

test(
  "a standby, a host without a server and one that never answers do not delay the primary",
  { skip: noPostgres },
  async () => {
    const primary = await PostgresServer.create()
    const standby = await primary.standby()
    const silent = createServer()
    const held = new Set<Socket>()
    let isGivenUp = false
    silent.on("connection", socket => {
      held.add(socket)
      socket
        .on("error", () => undefined)
        .on("end", () => (isGivenUp = true))
        .resume()
    })
    silent.listen(0, "127.0.0.1")
    await once(silent, "listening")
    const { port: silentPort } = silent.address() as AddressInfo
    try {
      const closedPort = await freePort()
      const others = [silentPort, standby.port, closedPort]
      const session = await new Postgres(urlOf([...others, primary.port])).connect()
      assert.equal(isGivenUp, false, "the silent host has not been waited for")
      assert.equal(await session.acceptsWrites(), true)
      await session.close()
      for (const ports of [[closedPort], [closedPort, standby.port]]) {
        await assert.rejects(new Postgres(urlOf(ports)).connect(), ConnectionLost)
      }
    } finally {
      for (const socket of held) socket.destroy()
      silent.close()
      await standby.dispose()
      await primary.dispose()
    }
  },
)
