/**
 * Servers of tests that keep their metadata in a PostgreSQL: by their options, or all of them if `TEST_METADATA` is
 * `postgres`, so that every suite can run on it (`TEST_METADATA=postgres npm test -- tests/clients`). With `TEST_STORE`, a
 * suite starts no server and uses the store that it describes (`tests/cluster/suites.test.ts`).
 */
import { randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Databases } from "../sql/databases.js"

type Environment = Readonly<Record<string, string>>

/** Environment of `serve` for a new store whose metadata is in this database; its key file is in the folder. */
export async function clusterEnvironment(url: string, folder: string): Promise<Environment> {
  const keyFile = join(folder, "master.key")
  await writeFile(keyFile, randomBytes(32).toString("hex"), { mode: 0o600 })
  return { HAYLOFT_CLUSTER: url, HAYLOFT_MASTER_KEY_FILE: keyFile, HAYLOFT_NODE_LISTEN: "127.0.0.1:0" }
}

/** A store that outlives the suites that use it. */
export interface RunningStore {
  /** The port on which its clients reach it. */
  readonly port: number
  readonly adminPort: number
  /** The folders of a running node. */
  readonly folders: readonly string[]
  /** The environment of each of its nodes. */
  readonly env: Environment
}

export const environmentOf = (store: RunningStore): Environment => ({ TEST_STORE: JSON.stringify(store) })

export function runningStore(): RunningStore | undefined {
  const text = process.env["TEST_STORE"]
  return text === undefined ? undefined : (JSON.parse(text) as RunningStore)
}

let databases: Promise<Databases> | undefined
const stores = new Map<string, Promise<Environment>>()

async function started(): Promise<Databases> {
  const opened = await Databases.start()
  opened.server.unref()
  process.once("exit", () => rmSync(opened.server.folder, { recursive: true, force: true, maxRetries: 10 }))
  return opened
}

/** Returns where servers on these folders keep their metadata if nothing else is said: the same for each start. */
export function usualEnvironment(folders: readonly string[]): Promise<Environment> {
  const [first] = folders
  if (process.env["TEST_METADATA"] !== "postgres" || first === undefined) return Promise.resolve({})
  const known = stores.get(first)
  if (known !== undefined) return known
  databases ??= started()
  const made = databases.then(async all => clusterEnvironment(await all.create(), dirname(first)))
  stores.set(first, made)
  return made
}
