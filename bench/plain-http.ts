/**
 * The fastest store there could be on node:http: takes bodies and forgets them, answers every GET with
 * the same bytes and every list with an empty page. Started by `limits.ts` as a process of its own.
 */
import { createServer } from "node:http"

const body = Buffer.alloc(Number(process.argv[2] ?? 0), "x")
const PAGE = Buffer.from(`<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)

const server = createServer((request, response) => {
  request.resume()
  request.on("end", () => {
    const isList = request.url?.includes("list-type") === true
    const answer = request.method === "GET" ? (isList ? PAGE : body) : Buffer.alloc(0)
    response.writeHead(200, { "content-length": answer.length, etag: '"0"' })
    response.end(answer)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) process.send?.(address.port)
})
// Ends with its parent, whatever ends that.
process.on("disconnect", () => process.exit(0))
