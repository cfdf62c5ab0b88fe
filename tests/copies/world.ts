/** Two stores that can copy buckets to each other, with a proxy on the way to one of them that can be cut. */
import assert from "node:assert/strict"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Client, type Call } from "../../conformance/client.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { COPIES } from "@hayloft/features/copies/schemas.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import { Proxy } from "../remote/worlds.js"

const POLL_MS = 100

export class CopiesWorld {
  private constructor(
    readonly far: ServerProcess,
    readonly near: ServerProcess,
    readonly proxy: Proxy,
  ) {}

  static async start(folder: string): Promise<CopiesWorld> {
    const far = await ServerProcess.start({ folders: [join(folder, "far")] })
    const proxy = await Proxy.start(far.endpoint)
    const near = await ServerProcess.start({
      folders: [join(folder, "near")],
      args: ["--remotes", remotesFile(folder, "far", proxy.endpoint), "--allow-sse-c-without-tls"],
    })
    await far.kill()
    await far.launch(["--remotes", remotesFile(folder, "near", near.endpoint)])
    return new CopiesWorld(far, near, proxy)
  }

  async stop(): Promise<void> {
    await this.near.kill()
    await this.far.kill()
    await this.proxy.close()
  }

  clientOf(where: "far" | "near"): Client {
    return new Client(parseEndpoint(this[where].endpoint), CREDENTIALS, REGION)
  }

  /** A request that must succeed. */
  async at(where: "far" | "near", method: string, call: Call): Promise<RawResponse> {
    const answer = await this.clientOf(where).call(method, call)
    assert.ok(answer.status < 300, `${method} ${call.key ?? ""}: ${answer.status} ${answer.body.toString()}`)
    return answer
  }

  /** `hayloft …` at a store, which must succeed. */
  async run(where: "far" | "near", ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this[where].hayloft(args)
    assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`)
    return stdout
  }

  /** Waits until the target has everything that can be copied; returns what is parked. */
  async copied(where: "far" | "near", bucket: string) {
    const state = async () => COPIES.parse(await this[where].report(`/v1/buckets/${bucket}/copies`))
    let seen = await state()
    const isCopied = async (): Promise<boolean> => {
      seen = await state()
      return seen.phase === "following" && seen.lag.objects === 0
    }
    await until(() => `the target of ${bucket} has everything: ${JSON.stringify(seen)}`, isCopied, POLL_MS)
    return seen.parked
  }

  /** Keys and ETags. */
  async list(where: "far" | "near", bucket: string): Promise<readonly string[]> {
    return listed(this[where], bucket)
  }

  /** `near` and `far`: buckets of these stores. */
  async assertCopied(near: string, far: string): Promise<void> {
    assert.deepEqual(await this.list("far", far), await this.list("near", near))
  }

  /** A gauge of a bucket of the near store. */
  async gauge(name: string, bucket: string): Promise<number> {
    const [, value] =
      new RegExp(`^${name}\\{[^}]*"${bucket}"[^}]*\\} (\\S+)$`, "m").exec(await this.near.metrics()) ?? []
    assert.ok(value !== undefined, `there is no ${name}`)
    return Number(value)
  }
}

/** Keys and ETags of a bucket. */
export async function listed(server: ServerProcess, bucket: string): Promise<readonly string[]> {
  const { status, text } = await server.client().call("GET", { bucket, query: "list-type=2" })
  assert.equal(status, 200, text)
  return Array.from(
    text.matchAll(/<Key>([^<]*)<\/Key>.*?<ETag>([^<]*)<\/ETag>/g),
    ([, key = "", etag = ""]) => `${key} ${etag}`,
  )
}

/** The file of `--remotes` with one store. */
export function remotesFile(folder: string, name: string, endpoint: string): string {
  const file = join(folder, `remotes-${name}.json`)
  const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  writeFileSync(file, JSON.stringify({ [name]: { endpoint, region: REGION, ...key } }))
  chmodSync(file, 0o600)
  return file
}
