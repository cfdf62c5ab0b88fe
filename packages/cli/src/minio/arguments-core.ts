/**
 * The arguments of `minio server` as settings of Hayloft. Pure.
 *
 * Refuses  addresses of other nodes, and options that mean nothing here: each by its name, with what to do instead.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseListen } from "@hayloft/node/config/index.js"

/** MinIO's options of the server that have no meaning here, each with what to do instead. */
export const REFUSED_OPTIONS = {
  "--ftp": "there is no FTP server: rclone serve ftp serves a bucket by FTP",
  "--sftp": "there is no SFTP server: rclone serve sftp serves a bucket by SFTP",
  "--log-dir": "the log goes to standard error: redirect it, or write a line for each request with --access-log FILE",
  "--log-size": "the log goes to standard error; files of --access-log are changed at 64 MiB",
  "--log-prefix": "the log goes to standard error: redirect it",
  "--log-compress": "the log goes to standard error: redirect it",
  "--idle-timeout": "leave it out: connections have limits of their own",
  "--read-header-timeout": "leave it out: connections have limits of their own",
  "--conn-user-timeout": "leave it out: connections have limits of their own",
  "--conn-client-read-deadline": "leave it out: connections have limits of their own",
  "--conn-client-write-deadline": "leave it out: connections have limits of their own",
  "--shutdown-timeout": "say how long requests may take at a stop with --stop-timeout 30s",
  "--interface": "name the address to listen on with --address HOST:PORT",
  "--dns-cache-ttl": "leave it out: names are looked up by the system",
  "--max-idle-conns-per-host": "leave it out: connections have limits of their own",
  "--memlimit": "limit the memory of the process from outside, as with a container",
  "--send-buf-size": "leave it out: the system chooses it",
  "--recv-buf-size": "leave it out: the system chooses it",
  "--crossdomain-xml": "give the bucket CORS rules",
} as const satisfies Record<string, string>

const isRefused = (flag: string): flag is keyof typeof REFUSED_OPTIONS => flag in REFUSED_OPTIONS

/** Throws `invalidConfig` for an option that has no meaning here. */
export function refuseOption(flag: string): never {
  const advice = isRefused(flag) ? REFUSED_OPTIONS[flag] : "leave it out"
  throw fail("invalidConfig", { message: `${flag} of minio server has no meaning here: ${advice}` })
}

/** `:9000` is every interface. Throws `invalidConfig`. */
export function addressOf(text: string, where: string): string {
  const address = text.startsWith(":") ? `0.0.0.0${text}` : text
  parseListen(address, where)
  return address
}

/** Folders, whose ranges `{1...4}` the setting expands. Throws `invalidConfig` for the address of another node. */
export function foldersOf(texts: readonly string[], where: string): readonly string[] {
  const url = texts.find(text => /^[a-z][a-z0-9+.-]*:\/\//i.test(text))
  if (url === undefined) return texts
  const message =
    `${where}: ${url.slice(0, 120)} names a folder of another machine. Nodes of Hayloft find each other in a ` +
    "PostgreSQL database: start each with its own folders and --cluster URL (docs/operate/cluster.md)"
  throw fail("invalidConfig", { message })
}

const BEFORE_SERVER: ReadonlyMap<string, "alone" | "valued"> = new Map([
  ["-C", "valued"],
  ["--config-dir", "valued"],
  ["-S", "valued"],
  ["--certs-dir", "valued"],
  ["--quiet", "alone"],
  ["--anonymous", "alone"],
  ["--json", "alone"],
  ["--compat", "alone"],
  ["--no-compat", "alone"],
])

/** Containers and scripts say `minio server`, where the program is another one too, and options of MinIO before `server`. */
export function serverFirst(args: readonly string[]): readonly string[] {
  const own = args[0] === "minio" ? args.slice(1) : args
  for (let at = 0; at < own.length; at += 1) {
    const arg = own[at] ?? ""
    if (arg === "server") return [arg, ...own.slice(0, at), ...own.slice(at + 1)]
    const kind = BEFORE_SERVER.get(arg.split("=")[0] ?? "")
    if (kind === undefined) break
    if (kind === "valued" && !arg.includes("=")) at += 1
  }
  return args
}
