/** For tests: a plain HTTP server in the place of a store, and a client for it. */
import { createServer, type RequestListener, type Server } from "node:http"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { S3Client } from "./s3-client.js"

interface Peer {
  readonly client: S3Client
  readonly server: Server
  /** Ends the client. */
  readonly stop: AbortController
}

type ClientOptions = ConstructorParameters<typeof S3Client>[3]

export async function withPeer<T>(
  listener: RequestListener,
  options: ClientOptions,
  work: (peer: Peer) => Promise<T>,
): Promise<T> {
  const server = createServer((request, response) => {
    request.on("error", () => undefined)
    listener(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const access = { endpoint: `http://127.0.0.1:${port}`, region: "r", accessKeyId: "a", secretAccessKey: "s" }
  const stop = new AbortController()
  const client = new S3Client(access, new RealClock(), stop.signal, { backOffMs: 1, ...options })
  try {
    return await work({ client, server, stop })
  } finally {
    client.close()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}
