/**
 * A package registry on loopback that has the packages of this checkout's node_modules, also those within others, so that a
 * test may install a package without a network. It needs GNU tar.
 */
import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { ROOT } from "./server.js"

const MODULES = join(ROOT, "node_modules")

/** The folders of all versions of a package. */
const foldersOf = (name: string): readonly string[] =>
  [MODULES, ...readdirSync(MODULES).map(other => join(MODULES, other, "node_modules"))]
    .map(modules => join(modules, name))
    .filter(folder => existsSync(folder))

/** Runs the work with the URL of the registry. */
export async function withRegistry<T>(work: (url: string) => Promise<T>): Promise<T> {
  let url = ""
  const server = createServer((request, response) => {
    const [name = "", file] = decodeURIComponent(request.url ?? "")
      .slice(1)
      .split("/-/")
    const folders = /^(@[\w.-]+\/)?[\w.-]+$/.test(name) ? foldersOf(name) : []
    const [folder] = file === undefined ? folders : folders.slice(Number.parseInt(file, 10))
    if (folder === undefined) response.writeHead(404).end()
    else if (file === undefined) describe(name, folders, url, response)
    else sendFiles(folder, response)
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

function describe(name: string, folders: readonly string[], url: string, response: ServerResponse): void {
  const described = folders.map((folder, number) => {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }
    return [manifest.version, { ...manifest, dist: { tarball: `${url}/${name}/-/${number}.tgz` } }] as const
  })
  response.setHeader("content-type", "application/json")
  const versions = Object.fromEntries(described)
  response.end(JSON.stringify({ name, "dist-tags": { latest: described[0]?.[0] }, versions }))
}

function sendFiles(folder: string, response: ServerResponse): void {
  // The archive is read once, so it is compressed as little as possible.
  const args = ["--use-compress-program=gzip -1", "-c", "--transform", "s,^,package/,"]
  const files = ["--exclude", "./node_modules", "-C", folder, "."]
  const tar = spawn("tar", [...args, ...files], { stdio: ["ignore", "pipe", "inherit"] })
  tar.stdout.pipe(response)
}
