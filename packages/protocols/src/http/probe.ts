/** Checks that addresses can be listened on, before anything else is touched. */
import { createServer, type Server } from "node:net"
import { fail } from "@hayloft/base/failures.js"

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use by another process",
  EACCES: "cannot be listened on: ports below 1024 require a privilege",
}

export interface ProbedAddress {
  readonly host: string
  readonly port: number
  /** The option that chooses another one. */
  readonly flag: string
}

/**
 * Throws `invalidConfig` with one clear line if one of the addresses is in use, also by another one of them. Another
 * process may still take a port right after.
 */
export async function probeAddresses(addresses: readonly ProbedAddress[]): Promise<void> {
  const bound: { readonly server: Server; readonly address: ProbedAddress }[] = []
  try {
    for (const address of addresses) {
      const same = bound.find(each => address.port !== 0 && each.address.port === address.port)?.address
      bound.push({ address, server: await bind(address, same) })
    }
  } finally {
    for (const { server } of bound) await new Promise<void>(resolve => server.close(() => resolve()))
  }
}

/** `same`: another one of the addresses, with the same port. */
async function bind({ host, port, flag }: ProbedAddress, same: ProbedAddress | undefined): Promise<Server> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen({ host, port }, resolve)
    })
    return server
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "failed"
    const isOwn = code === "EADDRINUSE" && same !== undefined
    const why = isOwn ? `is also the address of ${same.flag}` : (WHY[code] ?? `cannot be listened on (${code})`)
    const message = `${host}:${port} ${why}; choose another with ${flag} HOST:PORT`
    throw fail("invalidConfig", { message }, isOwn ? undefined : error)
  }
}
