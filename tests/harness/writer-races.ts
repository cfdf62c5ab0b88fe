/** 64 writers on one key: with If-None-Match: * and with If-Match exactly one wins, every round. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Client } from "../../conformance/client.js"
import { KeptConnection } from "../../conformance/raw-client.js"
import { ServerProcess } from "./server.js"

const WRITERS = 64
const ROUNDS = 20
/** Every key is raced for so many times, deleted in between. */
const ROUNDS_EACH = 3
const BUCKET = "races"
/** Around the inline limit, so that both kinds of bodies are tested. */
const LENGTHS = [20, 5_000]

const bodyOf = (round: number, writer: number) =>
  `round ${round} writer ${writer} `.padEnd(LENGTHS[round % LENGTHS.length] ?? 0, ".")

/** `given`: a server whose owner ends it. Default: one on folders of its own. */
export function writerRaces(rounds = ROUNDS, given?: Promise<ServerProcess>): void {
  let folder: string | undefined
  let own: ServerProcess | undefined
  let client: Client
  let connections: readonly KeptConnection[] = []

  const ownServer = async (): Promise<ServerProcess> => {
    folder = await mkdtemp(join(tmpdir(), "hayloft-races-"))
    own = await ServerProcess.start({ folders: [join(folder, "data")] })
    return own
  }

  before(async () => {
    const server = await (given ?? ownServer())
    client = server.client()
    connections = Array.from({ length: WRITERS }, () => new KeptConnection(client.endpoint))
    assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
  })

  after(async () => {
    for (const connection of connections) connection.close()
    await own?.kill()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  /** Runs all writers concurrently; another one begins in each round. Returns the winner's ETag. */
  async function race(key: string, round: number, headers: Record<string, string>): Promise<string> {
    const requests = connections.map(
      (_, writer) => client.prepare("PUT", { bucket: BUCKET, key, headers, body: bodyOf(round, writer) }).request,
    )
    const order = requests.map((_, place) => (place + round) % WRITERS)
    const answers = await Promise.all(
      order.map(async writer => {
        const [connection, request] = [connections[writer], requests[writer]]
        assert.ok(connection && request)
        return { writer, ...(await connection.exchange(request)) }
      }),
    )
    const winners = answers.flatMap(({ status, writer }) => (status === 200 ? [writer] : []))
    for (const { status, text } of answers) assert.ok([200, 409, 412].includes(status), `${status} ${text}`)
    assert.equal(winners.length, 1, `round ${round}: winners ${winners.join(", ")}`)
    const [winner = -1] = winners
    const stored = await client.call("GET", { bucket: BUCKET, key })
    assert.equal(stored.text, bodyOf(round, winner), `round ${round}: the winner's body is the object`)
    return stored.header("etag") ?? ""
  }

  test(`${WRITERS} writers with If-None-Match: *, ${rounds} rounds on fresh and on deleted keys`, async () => {
    for (let round = 0; round < rounds; round += 1) {
      const key = `if-none-match-${round % Math.ceil(rounds / ROUNDS_EACH)}`
      await race(key, round, { "If-None-Match": "*" })
      assert.equal((await client.call("DELETE", { bucket: BUCKET, key })).status, 204)
    }
  })

  test(`${WRITERS} writers with If-Match, ${rounds} rounds on one key`, async () => {
    const first = await client.call("PUT", { bucket: BUCKET, key: "if-match", body: "first" })
    let etag = first.header("etag") ?? ""
    for (let round = 0; round < rounds; round += 1) etag = await race("if-match", round, { "If-Match": etag })
  })
}
