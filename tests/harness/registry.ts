/**
 * A package registry on loopback that has the packages of this checkout's node_modules, so that a test may install a
 * package without a network. It needs GNU tar.
 */
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { ROOT } from "./server.js"

const folderOf = (name: string): string => join(ROOT, "node_modules", name)

/** Runs the work with the URL of the registry. */
export async function withRegistry<T>(work: (url: string) => Promise<T>): Promise<T> {
  let url = ""
  const server = createServer((request, response) => {
    const [name = "", file] = decodeURIComponent(request.url ?? "")
      .slice(1)
      .split("/-/")
    if (!/^(@[\w.-]+\/)?[\w.-]+$/.test(name) || !existsSync(folderOf(name))) response.writeHead(404).end()
    else if (file === undefined) describe(name, url, response)
    else sendFiles(name, response)
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    return await work(url)
  } finally {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}

function describe(name: string, url: string, response: ServerResponse): void {
  const manifest = JSON.parse(readFileSync(join(folderOf(name), "package.json"), "utf8")) as { version: string }
  const { version } = manifest
  const dist = { tarball: `${url}/${name}/-/files.tgz` }
  const versions = { [version]: { ...manifest, dist } }
  response.setHeader("content-type", "application/json")
  response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }))
}

function sendFiles(name: string, response: ServerResponse): void {
  const args = ["-cz", "--transform", "s,^,package/,", "--exclude", "./node_modules", "-C", folderOf(name), "."]
  const tar = spawn("tar", args, { stdio: ["ignore", "pipe", "inherit"] })
  tar.stdout.pipe(response)
}
