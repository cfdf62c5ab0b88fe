/** A second account with a key, created with the command line. */
import assert from "node:assert/strict"
import type { Credentials } from "../../conformance/sign-v4.js"
import type { ServerProcess } from "./server.js"

async function answer(server: ServerProcess, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${stderr}${stdout}`)
  return stdout
}

/** Returns the first string under one of the names, at any depth. */
function find(value: unknown, names: readonly string[]): string | undefined {
  if (typeof value !== "object" || value === null) return undefined
  for (const [name, inner] of Object.entries(value)) {
    if (names.includes(name) && typeof inner === "string") return inner
  }
  for (const inner of Object.values(value)) {
    const found = find(inner, names)
    if (found !== undefined) return found
  }
  return undefined
}

export async function createOtherAccount(server: ServerProcess): Promise<Credentials> {
  const created: unknown = JSON.parse(await answer(server, ["account", "create", "other", "--json"]))
  const id = find(created, ["id"])
  assert.ok(id !== undefined, "the output has no account id")
  return createKey(server, id)
}

/** Creates a key of the root user of an account; by default of the store's root account. */
export async function createKey(server: ServerProcess, id?: string): Promise<Credentials> {
  const account = id === undefined ? [] : ["--account", id]
  const made: unknown = JSON.parse(await answer(server, ["key", "create", ...account, "--json"]))
  const accessKey = find(made, ["accessKey", "accessKeyId", "id"])
  const secretKey = find(made, ["secret", "secretKey", "secretAccessKey"])
  assert.ok(accessKey !== undefined && secretKey !== undefined, "the output has no key or no secret")
  return { accessKey, secretKey }
}
