/** Public projects that use MinIO: what they call is understood, and their scripts and first requests find what they expect. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { CliIo } from "@hayloft/cli/io.js"
import { run as runCommand } from "@hayloft/cli/program.js"
import { testIo } from "@hayloft/cli/testing-io.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import { findProgram, run } from "../harness/commands.js"
import { forTestsOfFile } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { PUBLIC_PROJECTS, type PublicProject } from "./public-projects.js"
import { publicReadPolicy, USES } from "./uses.js"

const [ROOT, PASSWORD] = ["minioadmin", "minioadmin"]
let server: ServerProcess
let configFolder = ""

forTestsOfFile(async folder => {
  configFolder = folder
  const env = { MINIO_ROOT_USER: ROOT, MINIO_ROOT_PASSWORD: PASSWORD, MINIO_DOMAIN: "minio" }
  server = await ServerProcess.start({ folders: [`${folder}/data`], env, isMinio: true })
  return () => server.kill()
})

/** Words of a command as a shell would split it. */
const wordsOf = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? "",
  )

test("the start of each project is understood", async () => {
  for (const { name, command, env, folder, key } of PUBLIC_PROJECTS) {
    const started: { config?: ServeConfig } = {}
    const { io, written } = testIo({ environment: env, workingFolder: "/home" })
    const programs: CliIo["programs"] = { ...io.programs, serve: async config => void (started.config = config) }
    assert.equal(
      await runCommand(wordsOf(command), { ...io, programs }, new AbortController().signal),
      0,
      written.error,
    )
    const { config } = started
    assert.deepEqual([config?.dataFolders[0], config?.rootKey?.accessKeyId], [folder, key], name)
    const { allowPublicBuckets, ignoreAcls, ignoreUnknownRoles, countsDevices } = config ?? {}
    assert.deepEqual([allowPublicBuckets, ignoreAcls, ignoreUnknownRoles, countsDevices], Array(4).fill(true), name)
  }
})

/** Says how a start says that it is ready, for tests that wait for a line of the log. */
test("the log has the line that containers of tests wait for, and health is public", async () => {
  assert.match(server.log, /.*Status: {9}1 Online, 0 Offline../)
  const client = server.client({ accessKey: ROOT, secretKey: PASSWORD })
  for (const path of ["live", "ready", "cluster"])
    assert.equal((await client.send("GET", `/minio/health/${path}`)).status, 200, path)
})

const mcOf = async (): Promise<string | undefined> => {
  const mc = findProgram("mc")
  const version = mc === undefined ? undefined : await run(mc, ["--version"])
  return /MinIO/.test(version?.stdout ?? "") ? mc : undefined
}

/** The requests that mc would send. */
async function prepareWithout({ buckets, isOpen = [] }: PublicProject): Promise<void> {
  const client = server.client({ accessKey: ROOT, secretKey: PASSWORD })
  for (const bucket of buckets) assert.equal((await client.call("PUT", { bucket })).status, 200, bucket)
  for (const place of isOpen) {
    const [bucket = "", prefix = ""] = place.split("/")
    const put = await client.call("PUT", { bucket, query: "policy=", body: publicReadPolicy(bucket, prefix) })
    assert.equal(put.status, 204, put.text)
  }
}

async function prepare(project: PublicProject, mc: string | undefined): Promise<void> {
  const { prepares } = project
  if (prepares === undefined) return
  if (mc === undefined) return prepareWithout(project)
  const PATH = `${mc.slice(0, mc.lastIndexOf("/"))}:${process.env["PATH"] ?? ""}`
  const env = { PATH, MC_CONFIG_DIR: `${configFolder}/mc`, SERVER: server.endpoint, ROOT, PASSWORD }
  const { code, stdout, stderr } = await run("sh", ["-c", prepares], { env })
  assert.equal(code, 0, `${stdout}${stderr}`)
}

/** Keys may write where their policies say, and nowhere else; only mc makes them. */
async function checkKeys({ keys = [] }: PublicProject): Promise<void> {
  for (const { key: accessKey, secret: secretKey, bucket, refusedIn } of keys) {
    const client = server.client({ accessKey, secretKey })
    const put = async (name: string) => (await client.call("PUT", { bucket: name, key: "of-key", body: "x" })).status
    assert.equal(await put(bucket), 200, `${accessKey} in ${bucket}`)
    if (refusedIn !== undefined) assert.equal(await put(refusedIn), 403, `${accessKey} in ${refusedIn}`)
  }
}

for (const [at, project] of PUBLIC_PROJECTS.entries()) {
  test(project.name, async () => {
    const mc = await mcOf()
    await prepare(project, mc)
    if (mc !== undefined) await checkKeys(project)
    const client = server.client({ accessKey: ROOT, secretKey: PASSWORD })
    for (const place of project.buckets) {
      const key = `${project.isOpen?.find(open => open.startsWith(`${place}/`))?.split("/")[1] ?? "public"}/image.png`
      assert.equal((await client.call("PUT", { bucket: place, key, body: "x" })).status, 200, place)
      const isOpen = project.isOpen?.some(open => `${place}/${key}`.startsWith(open)) ?? false
      const anonymous = await client.call("GET", { bucket: place, key, anonymous: true })
      assert.equal(anonymous.status, isOpen ? 200 : 403, place)
      const other = { bucket: place, key: "elsewhere.png" }
      await client.call("PUT", { ...other, body: "x" })
      const isWhole = project.isOpen?.includes(place) ?? false
      assert.equal((await client.call("GET", { ...other, anonymous: true })).status, isWhole ? 200 : 403, place)
    }
    const bucket = project.buckets[0] ?? `of-project-${at}`
    for (const use of project.uses) await USES[use](client, bucket)
  })
}
