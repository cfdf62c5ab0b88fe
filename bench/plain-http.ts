/**
 * The fastest possible store on node:http: discards bodies, answers every GET with the same bytes, or with a file
 * through `createReadStream` with buffers of 1 MiB. `plain-server.ts` starts it as a separate process.
 */
import { createReadStream, statSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"

const [, , kind = "bytes", what = "0"] = process.argv
const body = Buffer.alloc(kind === "bytes" ? Number(what) : 0, "x")
const fileBytes = kind === "file" ? statSync(what).size : 0
const BUFFER_BYTES = 1024 * 1024

function send(response: ServerResponse): void {
  response.writeHead(200, { "content-length": kind === "file" ? fileBytes : body.length, etag: '"0"' })
  if (kind === "file") createReadStream(what, { highWaterMark: BUFFER_BYTES }).pipe(response)
  else response.end(body)
}

const server = createServer((request, response) => {
  request.resume()
  request.on("end", () => {
    if (request.method === "GET") send(response)
    else response.writeHead(200, { "content-length": 0, etag: '"0"' }).end()
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) process.send?.(address.port)
})
// Ends with its parent, however that ends.
process.on("disconnect", () => process.exit(0))
