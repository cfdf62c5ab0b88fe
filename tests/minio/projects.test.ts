/**
 * The ways in which public projects start MinIO and prepare it, in our words: each script starts the server by the name
 * `minio`, as their compose files and units do, and finds what it expects. Whatever needs `mc` is in `metrics.test.ts`.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Client } from "../../conformance/client.js"
import { bindChild } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { HAYLOFT, REGION } from "../harness/server.js"

interface Project {
  readonly how: string
  /** Run by sh with DATA, HOME_OF_TEST, S3 and CONSOLE (addresses). */
  readonly script: string
  readonly env?: Readonly<Record<string, string>>
  /** Files below HOME_OF_TEST. */
  readonly files?: Readonly<Record<string, string>>
  readonly key: readonly [accessKey: string, secretKey: string]
  readonly buckets: readonly string[]
  /** A bucket that everybody may read. */
  readonly publicBucket?: string
}

const PROJECTS: readonly Project[] = [
  {
    how: "a folder for the bucket, then the server (traces of language models)",
    script: `mkdir -p "$DATA/langfuse" && minio server --address "$S3" --console-address "$CONSOLE" "$DATA"`,
    env: { MINIO_ROOT_USER: "minio", MINIO_ROOT_PASSWORD: "miniosecret" },
    key: ["minio", "miniosecret"],
    buckets: ["langfuse"],
  },
  {
    how: "folders for logs and rules, the older names of the key (stores of logs and metrics)",
    script: `mkdir -p "$DATA/loki-data" "$DATA/loki-ruler" && exec minio server "$DATA" --address="$S3" --console-address="$CONSOLE"`,
    env: {
      MINIO_ACCESS_KEY: "loki",
      MINIO_SECRET_KEY: "supersecret",
      MINIO_PROMETHEUS_AUTH_TYPE: "public",
      MINIO_UPDATE: "off",
    },
    key: ["loki", "supersecret"],
    buckets: ["loki-data", "loki-ruler"],
  },
  {
    how: "buckets in a variable, one of them public (development environments of web projects)",
    script: `minio server "$DATA" --address "$S3" --console-address "$CONSOLE"`,
    env: {
      MINIO_ROOT_USER: "sail-user",
      MINIO_ROOT_PASSWORD: "password",
      MINIO_DEFAULT_BUCKETS: "local:public,private",
    },
    key: ["sail-user", "password"],
    buckets: ["local", "private"],
    publicBucket: "local",
  },
  {
    how: "secrets in files (swarm and compose secrets)",
    script: `MINIO_ROOT_USER_FILE="$HOME_OF_TEST/user" MINIO_ROOT_PASSWORD_FILE="$HOME_OF_TEST/password" minio server --address "$S3" --console-address "$CONSOLE" "$DATA"`,
    files: { user: "registry\n", password: "a-long-secret\n" },
    key: ["registry", "a-long-secret"],
    buckets: [],
  },
  {
    how: "a file of variables and the server alone (a systemd unit)",
    script: `set -a; . "$HOME_OF_TEST/default"; MINIO_VOLUMES="$DATA/disk{1...4}" MINIO_ADDRESS="$S3" MINIO_CONSOLE_ADDRESS="$CONSOLE" exec minio server $MINIO_OPTS`,
    files: { default: 'MINIO_ROOT_USER=operator\nMINIO_ROOT_PASSWORD="another-secret"\nMINIO_OPTS="--json"\n' },
    key: ["operator", "another-secret"],
    buckets: [],
  },
  {
    how: "certificates that are not there, four disks (a chart)",
    script: `minio server "$DATA/export-{0...3}" -S "$HOME_OF_TEST/certs/" --address "$S3" --console-address "$CONSOLE"`,
    env: {
      MINIO_ROOT_USER: "rootuser",
      MINIO_ROOT_PASSWORD: "rootpass123",
      MINIO_SERVER_URL: "https://s3.example.org",
    },
    key: ["rootuser", "rootpass123"],
    buckets: [],
  },
]

/** Resolves once the output says how to store a first object. */
function started(child: ReturnType<typeof spawn>): Promise<void> {
  let text = ""
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      text += chunk.toString()
      if (text.includes("A first object")) resolve()
    }
    child.stdout?.on("data", read)
    child.stderr?.on("data", read)
    child.once("exit", code => reject(new Error(`it ended with ${code}:\n${text}`)))
  })
}

async function starts({
  script,
  env,
  files = {},
  key: [accessKey, secretKey],
  buckets,
  publicBucket,
}: Project): Promise<void> {
  await withFolder(async home => {
    const [bin, port] = [join(home, "bin"), await freePort()]
    await mkdir(bin)
    await symlink(HAYLOFT, join(bin, "minio"))
    for (const [name, content] of Object.entries(files)) await writeFile(join(home, name), content)
    const places = {
      DATA: join(home, "data"),
      HOME_OF_TEST: home,
      S3: `127.0.0.1:${port}`,
      CONSOLE: `127.0.0.1:${await freePort()}`,
    }
    const PATH = `${bin}:${process.env["PATH"] ?? ""}`
    const child = spawn("sh", ["-c", script], { env: { ...process.env, ...env, ...places, PATH }, detached: true })
    bindChild(child)
    const ended = new Promise<void>(resolve => child.once("close", () => resolve()))
    try {
      await started(child)
      const client = new Client({ host: "127.0.0.1", port }, { accessKey, secretKey }, REGION)
      for (const path of ["live", "ready", "cluster"])
        assert.equal((await client.send("GET", `/minio/health/${path}`)).status, 200, path)
      const { text } = await client.call("GET", {})
      assert.deepEqual(
        [...text.matchAll(/<Name>([^<]+)</g)].map(([, name]) => name),
        buckets,
      )
      // Their init scripts make buckets that may be there.
      for (const bucket of [...buckets, "made-later"])
        assert.equal((await client.call("PUT", { bucket })).status, 200, bucket)
      const object = { bucket: publicBucket ?? "made-later", key: "k" }
      assert.equal((await client.call("PUT", { ...object, body: "body" })).status, 200)
      const anonymous = await client.call("GET", { ...object, anonymous: true })
      assert.equal(anonymous.status, publicBucket === undefined ? 403 : 200)
      if (buckets.length > 0) assert.ok(!(await readdir(places.DATA)).some(name => buckets.includes(name)))
    } finally {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM")
      await ended
    }
  })
}

for (const project of PROJECTS) test(project.how, () => starts(project))
