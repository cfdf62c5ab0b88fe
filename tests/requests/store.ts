/**
 * A server with its own store, and the callers of all streams.
 *
 * The callers are created while its clock is an hour behind, so that some sessions have expired.
 */
import { join } from "node:path"
import { ServerProcess } from "../harness/server.js"
import { makePeople, newSession, openPeople, Setup, type People } from "./people.js"

/** Each stream has its own callers and buckets, so that the order between streams does not matter. */
export const STREAMS = 6

const BEHIND_MS = 3_600_000
const STALE_SECONDS = 900
const BEHIND = `data:text/javascript,${encodeURIComponent(`const now=Date.now;Date.now=()=>now()-${BEHIND_MS}`)}`
const ARGS = ["--domain", "s3.test", "--log-level", "error"]

export interface Store {
  readonly server: ServerProcess
  /** The callers by stream. */
  readonly people: readonly People[]
}

/** `root`: the checkout whose server runs, with a slash at its end; default: this one. */
export async function openStore(folder: string, root: string | undefined): Promise<Store> {
  const options = { folders: [join(folder, "data")], args: ARGS, ...(root !== undefined && { root }) }
  const streams = Array.from({ length: STREAMS }, (_, stream) => stream)
  const behind = await ServerProcess.start({ ...options, env: { NODE_OPTIONS: `--import=${BEHIND}` } })
  const early = new Setup(behind, BEHIND_MS)
  const stale = []
  for (const stream of streams) {
    await makePeople(early, stream)
    stale.push(await newSession(early, stream, STALE_SECONDS))
  }
  await behind.stop()
  const server = await ServerProcess.start(options)
  const setup = new Setup(server)
  const people: People[] = []
  for (const [stream, session] of stale.entries()) people.push(await openPeople(setup, stream, session))
  return { server, people }
}
