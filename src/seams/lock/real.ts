/**
 * Real folder locks: a Unix socket in the folder on which the owner answers, since Node has no flock
 * and pid files lie across containers.
 *
 * The owner listens under a name of its own and links it to `owner.sock`: a link is made by one of two
 * racers only, and closing the server removes nobody else's name. Who meets a socket that nobody
 * answers moves it aside, asks once more there, and puts it back if it had become somebody's.
 * The folder is addressed through /proc/self/fd, since socket paths are limited to 107 bytes.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as net from "node:net"
import { fail, type Failure } from "../../base/failures.js"
import type { FolderLock, FolderLocks } from "./contract.js"

const SOCKET = "owner.sock"
const ATTEMPTS_MAX = 5
/** An owner that accepts but does not answer within this is busy, and alive. */
const ANSWER_TIMEOUT_MS = 2000
const SOCKET_PATH_BYTES_MAX = 103
const TOKEN_BYTES = 8

type Answer =
  | { readonly kind: "token"; readonly token: string }
  /** Somebody listens but says nothing. */
  | { readonly kind: "silent" }
  /** A name on which nobody listens. */
  | { readonly kind: "stale" }
  | { readonly kind: "absent" }

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")

function noPlace(path: string, error: unknown): Failure {
  const code = codeOf(error)
  const isFull = code === "ENOSPC" || code === "EDQUOT"
  const message = "the data folder cannot hold a lock"
  return fail(isFull ? "deviceFull" : "invalidConfig", { message, path, code }, error)
}

/** Asks who listens on the socket. */
function ask(address: string): Promise<Answer> {
  return new Promise(resolve => {
    let token = ""
    const socket = net.connect(address)
    const timer = setTimeout(() => end({ kind: "silent" }), ANSWER_TIMEOUT_MS)
    const end = (answer: Answer): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    socket.setEncoding("utf8")
    socket.on("data", text => (token += String(text)))
    socket.on("end", () => end({ kind: "token", token }))
    socket.on("error", error => {
      const code = codeOf(error)
      end({ kind: code === "ECONNREFUSED" ? "stale" : code === "ENOENT" ? "absent" : "silent" })
    })
  })
}

function listen(address: string, token: string): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer(socket => {
      socket.on("error", () => socket.destroy())
      socket.end(token)
    })
    server.once("error", reject)
    server.listen({ path: address, exclusive: true }, () => resolve(server.unref()))
  })
}

/** A folder by a short name, for as long as it is open. */
class FolderHandle {
  private constructor(
    readonly folder: string,
    private readonly descriptor: number,
    private readonly short: string,
  ) {}

  static open(folder: string): FolderHandle {
    try {
      const descriptor = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
      const short = `/proc/self/fd/${descriptor}`
      return new FolderHandle(folder, descriptor, fs.existsSync(short) ? short : folder)
    } catch (error) {
      throw fail("deviceFailed", { path: folder, code: codeOf(error) }, error)
    }
  }

  address(name: string): string {
    const address = `${this.short}/${name}`
    if (Buffer.byteLength(address) <= SOCKET_PATH_BYTES_MAX) return address
    throw fail("invalidConfig", {
      message: "the path of the data folder is too long for this system",
      path: this.folder,
    })
  }

  close(): void {
    fs.closeSync(this.descriptor)
  }
}

class SocketLock implements FolderLock {
  constructor(
    private readonly handle: FolderHandle,
    private readonly server: net.Server,
    private readonly ownName: string,
    private readonly token: string,
  ) {}

  get folder(): string {
    return this.handle.folder
  }

  async isHeld(): Promise<boolean> {
    const answer = await ask(this.handle.address(SOCKET))
    // This process was held up itself, where it is its own socket that says nothing in time.
    if (answer.kind === "silent") return this.isLinked()
    return answer.kind === "token" && answer.token === this.token
  }

  async isAnothers(): Promise<boolean> {
    const answer = await ask(this.handle.address(SOCKET))
    if (answer.kind === "silent") return !this.isLinked()
    return answer.kind === "token" && answer.token !== this.token
  }

  async release(): Promise<void> {
    if (this.isLinked()) fs.unlinkSync(this.handle.address(SOCKET))
    await this.close()
  }

  /** Whether `owner.sock` is this server's. */
  isLinked(): boolean {
    const own = fs.statSync(this.handle.address(this.ownName), { throwIfNoEntry: false })
    const shared = fs.statSync(this.handle.address(SOCKET), { throwIfNoEntry: false })
    return own !== undefined && own.ino === shared?.ino
  }

  /** Removes the server's own name too. */
  async close(): Promise<void> {
    await new Promise<void>(resolve => this.server.close(() => resolve()))
    this.handle.close()
  }
}

export class RealLocks implements FolderLocks {
  async isTaken(folder: string): Promise<boolean> {
    const handle = FolderHandle.open(folder)
    try {
      const { kind } = await ask(handle.address(SOCKET))
      return kind === "token" || kind === "silent"
    } finally {
      handle.close()
    }
  }

  async take(folder: string): Promise<FolderLock> {
    const handle = FolderHandle.open(folder)
    const token = randomBytes(TOKEN_BYTES).toString("hex")
    const ownName = `${SOCKET}.${token}`
    let server: net.Server
    try {
      server = await listen(handle.address(ownName), token)
    } catch (error) {
      handle.close()
      throw noPlace(folder, error)
    }
    const lock = new SocketLock(handle, server, ownName, token)
    try {
      await link(handle, ownName, token)
      await removeStale(handle, ownName)
      return lock
    } catch (error) {
      await lock.close()
      throw error
    }
  }
}

/** Makes `owner.sock` this owner's, or throws `folderInUse`. */
async function link(handle: FolderHandle, ownName: string, token: string): Promise<void> {
  const shared = handle.address(SOCKET)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const isOurs = tryLink(handle.address(ownName), shared)
    const answer = await ask(shared)
    if (isOurs && answer.kind === "token" && answer.token === token) return
    if (answer.kind === "token" || answer.kind === "silent") break
    if (answer.kind === "stale" && (await moveAside(handle, `${SOCKET}.${token}.aside`)) === "alive") break
  }
  throw fail("folderInUse", { path: handle.folder })
}

function tryLink(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false
    throw noPlace(to, error)
  }
}

/** Takes a stale socket out of the way; another starter may have been quicker, and own it by now. */
async function moveAside(handle: FolderHandle, asideName: string): Promise<"gone" | "alive"> {
  const [shared, aside] = [handle.address(SOCKET), handle.address(asideName)]
  try {
    fs.renameSync(shared, aside)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "gone"
    throw fail("deviceFailed", { path: handle.folder, code: codeOf(error) }, error)
  }
  const { kind } = await ask(aside)
  const isAlive = kind === "token" || kind === "silent"
  if (isAlive) tryLink(aside, shared)
  fs.rmSync(aside, { force: true })
  return isAlive ? "alive" : "gone"
}

/** Removes the own names of owners that died. */
async function removeStale(handle: FolderHandle, ownName: string): Promise<void> {
  const names = fs.readdirSync(handle.address("."))
  for (const name of names.filter(each => each.startsWith(`${SOCKET}.`) && each !== ownName)) {
    if ((await ask(handle.address(name))).kind === "stale") fs.rmSync(handle.address(name), { force: true })
  }
}
