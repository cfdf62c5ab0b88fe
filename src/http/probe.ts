/** Checks that an address can be listened on, before anything else is touched. */
import { createServer } from "node:net"
import { fail } from "../base/failures.js"

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use by another process",
  EACCES: "cannot be listened on: ports below 1024 require a privilege",
}

/** Throws `invalidConfig` with one clear line. Another process may still take the port right after. */
export async function probeAddress(
  address: { readonly host: string; readonly port: number },
  flag: string,
): Promise<void> {
  const { host, port } = address
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen({ host, port }, resolve)
    })
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "failed"
    const why = WHY[code] ?? `cannot be listened on (${code})`
    throw fail("invalidConfig", { message: `${host}:${port} ${why}; choose another with ${flag} HOST:PORT` }, error)
  }
  await new Promise<void>(resolve => server.close(() => resolve()))
}
