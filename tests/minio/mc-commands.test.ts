/** Each line of docs/reference/mc-commands.md does with `mc` what it says, and every command of `mc` is on a line. */
import { test, type TestContext } from "node:test"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { findProgram, run } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const KEY = { MINIO_ROOT_USER: "minioadmin", MINIO_ROOT_PASSWORD: "minioadmin" }
const PAGE = join(ROOT, "docs/reference/mc-commands.md")
/** This replaces `mc` itself, from the net. */
const NOT_RUN: readonly string[] = ["update"]

/** In this order: the command as the page names it, and the arguments; `h` is the server, and words in capitals are files. */
const RUNS = `
alias | alias list h
ready | ready h
ping | ping -c 1 h
mb | mb h/one
mb | mb --with-lock h/locked
cp | cp FILE h/one/dir/file
cp | cp FILE h/locked/file
put | put FILE h/one/put
get | get h/one/put FOLDER/got
pipe | pipe h/one/piped
od | od if=FILE of=h/one/od size=5
ls | ls h/one
tree | tree h/one
du | du h/one
find | find h/one --name file
stat | stat h/one/put
diff | diff h/one FOLDER
cat | cat h/one/put
head | head -n 1 h/one/put
mv | mv h/one/put h/one/moved
mirror | mirror FOLDER h/one/mirrored
share download | share download h/one/moved
share upload | share upload h/one/uploaded
share list | share list download
anonymous | anonymous set download h/one
anonymous | anonymous set none h/one
cors | cors set h/one CORS
cors | cors get h/one
tag | tag set h/one/moved k=v
tag | tag list h/one/moved
version | version enable h/one
rm | rm h/one/moved
undo | undo --force h/one/moved
encrypt | encrypt set sse-s3 h/one
encrypt | encrypt info h/one
retention | retention set --default governance 1d h/locked
legalhold | legalhold set h/locked/file
legalhold | legalhold clear h/locked/file
ilm rule | ilm rule add --expire-days 30 h/one
ilm rule | ilm rule list h/one
ilm restore | ilm restore h/one/moved
ilm tier | ilm tier list h
quota | quota set h/one --size 1GiB
quota | quota info h/one
quota | quota clear h/one
event add | event add h/one arn:minio:sqs::1:webhook
event ls | event list h/one
event rm | event remove --force h/one
watch | watch h/one
sql | sql --query select h/one/moved
replicate ls | replicate list h/one
replicate add | replicate add h/one --remote-bucket http://user:password@127.0.0.1:1/two
replicate status | replicate status h/one
replicate resync | replicate resync status h/one
replicate export | replicate export h/one
batch generate | batch generate h replicate
batch start | batch start h FILE
batch list | batch list h
batch status | batch status h job
batch describe | batch describe h job
batch cancel | batch cancel h job
idp openid list | idp openid list h
idp openid info | idp openid info h
idp openid add | idp openid add h client_id=id
idp ldap | idp ldap list h
support | support diag --airgap h
license | license info h
rb | rb --force h/one
admin info | admin info h
admin user add | admin user add h alice secret-of-alice
admin user list | admin user list h
admin user info | admin user info h alice
admin policy create | admin policy create h own POLICY
admin policy list | admin policy list h
admin policy info | admin policy info h own
admin policy attach | admin policy attach h own readwrite --user alice
admin policy entities | admin policy entities h --user alice
admin user policy | admin user policy h alice
admin policy detach | admin policy detach h own --user alice
admin policy remove | admin policy remove h own
admin group add | admin group add h staff alice
admin group list | admin group list h
admin group info | admin group info h staff
admin group disable | admin group disable h staff
admin group enable | admin group enable h staff
admin group remove | admin group remove h staff alice
admin group remove | admin group remove h staff
admin user svcacct add | admin user svcacct add h alice --access-key first --secret-key secret-of-first
admin user svcacct list | admin user svcacct list h alice
admin user svcacct info | admin user svcacct info h first
admin user svcacct edit | admin user svcacct edit h first --secret-key newer-of-first
admin user svcacct disable | admin user svcacct disable h first
admin user svcacct enable | admin user svcacct enable h first
admin user svcacct remove | admin user svcacct remove h first
admin user sts info | admin user sts info h temporary
admin accesskey create | admin accesskey create h alice --access-key second --secret-key secret-of-second
admin accesskey list | admin accesskey list h alice
admin accesskey info | admin accesskey info h second
admin accesskey edit | admin accesskey edit h second --description app
admin accesskey disable | admin accesskey disable h second
admin accesskey enable | admin accesskey enable h second
admin accesskey remove | admin accesskey remove h second
admin user disable | admin user disable h alice
admin user enable | admin user enable h alice
admin user remove | admin user remove h alice
admin prometheus generate | admin prometheus generate h
admin prometheus metrics | admin prometheus metrics h
admin heal | admin heal h
admin decommission status | admin decommission status h
admin decommission start | admin decommission start h pool
admin decommission cancel | admin decommission cancel h pool
admin rebalance status | admin rebalance status h
admin rebalance start | admin rebalance start h
admin rebalance stop | admin rebalance stop h
admin service restart | --json admin service restart h
admin service unfreeze | admin service unfreeze h
admin config get | admin config get h api
admin config set | admin config set h api requests_max=1
admin config reset | admin config reset h api
admin config history | admin config history h
admin config restore | admin config restore h one
admin config export | admin config export h
admin update | admin update --yes h
admin kms key create | admin kms key create h key
admin kms key list | admin kms key list h
admin kms key status | admin kms key status h
admin scanner status | --json admin scanner status h
admin replicate add | admin replicate add h h
admin replicate info | admin replicate info h
admin replicate status | admin replicate status h
admin cluster bucket export | admin cluster bucket export h
admin cluster iam export | admin cluster iam export h
admin top locks | admin top locks h
admin top api | admin top api h
`

/** They go on until they are ended; this is in their first lines. */
const STREAMS = { "admin trace": /\w+\.\w+/, "admin logs": /started/ } as const

interface Line {
  readonly isAdmin: boolean
  readonly says: string
}

/** The lines of the page's tables of commands, by command. */
async function linesOfPage(): Promise<ReadonlyMap<string, Line>> {
  const [page = ""] = (await readFile(PAGE, "utf8")).split("\n## Who may call them")
  const lines = new Map<string, Line>()
  let isAdmin = false
  for (const row of page.split("\n")) {
    if (row.startsWith("## ")) isAdmin = row.includes("mc admin")
    const [, names = "", says = ""] = /^\| (`.*`) \| (.*) \|$/.exec(row) ?? []
    if (says === "with Hayloft") continue
    for (const [, name = ""] of names.matchAll(/`([^`]+)`/g))
      lines.set(isAdmin ? `admin ${name}` : name, { isAdmin, says })
  }
  return lines
}

const runs = RUNS.trim()
  .split("\n")
  .map(line => line.split(" | "))
  .map(([name = "", args = ""]) => ({ name, args: args.split(" ") }))

test("each command on the page of mc is run by the test below", async () => {
  const lines = [...(await linesOfPage()).keys()]
  const named = [...new Set([...runs.map(({ name }) => name), ...Object.keys(STREAMS), ...NOT_RUN])]
  assert.deepEqual(named.sort(), lines.sort())
})

interface Client {
  readonly ask: (...args: readonly string[]) => ReturnType<typeof run>
  readonly file: (word: string) => string
}

async function withClient(context: TestContext, use: (mc: string, client: Client, config: string) => Promise<void>) {
  const mc = findProgram("mc")
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  if (mc === undefined || !/MinIO/.test(version?.stdout ?? "")) return context.skip("MinIO's mc is not installed")
  await withFolder(async folder => {
    const policy = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: ["s3:*"], Resource: ["*"] }] }
    const files: Readonly<Record<string, string>> = {
      FILE: "body\n",
      POLICY: JSON.stringify(policy),
      CORS: "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>",
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    await mkdir(join(folder, "FOLDER"))
    await writeFile(join(folder, "FOLDER", "one"), "one")
    const env = { ...KEY, HAYLOFT_ALLOW_PUBLIC_BUCKETS: "yes" }
    const server = await ServerProcess.start({ folders: [join(folder, "data")], env, isMinio: true })
    const config = join(folder, "config")
    const ask: Client["ask"] = (...args) => run(mc, ["--config-dir", config, "--no-color", ...args], { input: "piped" })
    try {
      await ask("alias", "set", "h", server.endpoint, KEY.MINIO_ROOT_USER, KEY.MINIO_ROOT_PASSWORD)
      const file = (word: string) => word.replace(/^(if=)?(FILE|POLICY|CORS|FOLDER)/, `$1${folder}/$2`)
      await use(mc, { ask, file }, config)
    } finally {
      await server.kill()
    }
  })
}

test("every line of the page of mc is true", { timeout: 300_000 }, context =>
  withClient(context, async (mc, { ask, file }, config) => {
    const lines = await linesOfPage()
    for (const { name, args } of runs) {
      const { code, stdout, stderr } = await ask(...args.map(file))
      const said = `mc ${args.join(" ")}: ${code} ${stdout} ${stderr}`
      const { says } = lines.get(name) ?? assert.fail(name)
      assert.doesNotMatch(said, /panic:/)
      if (says.startsWith("works")) assert.equal(code, 0, said)
      else if (says.includes("exit code 0")) assert.match(stderr + stdout, /ERROR/, said)
      else assert.equal(code, 1, said)
    }
    for (const [name, pattern] of Object.entries(STREAMS)) {
      const child = spawn(mc, ["--config-dir", config, "--no-color", ...name.split(" "), "h"])
      let shown = ""
      child.stdout.on("data", (piece: Buffer) => (shown += piece.toString()))
      // Requests are made until the trace, which may still begin, shows one.
      while (!pattern.test(shown) && child.exitCode === null) await ask("ls", "h")
      child.kill()
      await once(child, "exit")
      assert.match(shown, pattern, name)
    }
    const first = new Set(
      [...lines.keys()].map(name =>
        name
          .split(" ")
          .slice(0, name.startsWith("admin ") ? 2 : 1)
          .join(" "),
      ),
    )
    for (const area of [[], ["admin"]]) {
      const [, commands = ""] = /COMMANDS:\n([\s\S]*?)\n\s*\n/.exec((await ask(...area, "--help")).stdout) ?? []
      const names = commands.split("\n").flatMap(line => /^ {2}(\w+)/.exec(line)?.slice(1) ?? [])
      assert.ok(names.length > 10)
      const missing = names.filter(name => !first.has([...area, name].join(" ")))
      assert.deepEqual(
        missing.filter(name => name !== "admin"),
        [],
      )
    }
  }),
)
