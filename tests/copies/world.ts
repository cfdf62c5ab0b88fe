/** Two stores that copy a bucket to each other, or one to the other, with a proxy between them that can be cut. */
import assert from "node:assert/strict"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Client, type Call } from "../../conformance/client.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import { Proxy } from "../remote/worlds.js"

export class CopiesWorld {
  private constructor(
    readonly far: ServerProcess,
    readonly near: ServerProcess,
    readonly proxy: Proxy,
  ) {}

  /** `bothWays`: the far store can reach the near one, too. */
  static async start(folder: string, bothWays = false): Promise<CopiesWorld> {
    const far = await ServerProcess.start({ folders: [join(folder, "far")] })
    const proxy = await Proxy.start(far.endpoint)
    const near = await ServerProcess.start({
      folders: [join(folder, "near")],
      args: ["--remotes", remotesFile(folder, "far", proxy.endpoint), "--allow-sse-c-without-tls"],
    })
    const world = new CopiesWorld(far, near, proxy)
    if (bothWays) {
      await far.kill()
      await far.launch(["--remotes", remotesFile(folder, "near", near.endpoint)])
    }
    await world.at("far", "PUT", { bucket: "data" })
    await world.at("near", "PUT", { bucket: "photos" })
    return world
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

  /** Waits until the target has everything. */
  copied(where: "far" | "near" = "near", bucket = "photos"): Promise<string> {
    return this.run(where, "copies", "status", bucket, "--wait")
  }

  /** Keys and ETags. */
  async list(where: "far" | "near", bucket: string): Promise<readonly string[]> {
    return listed(this[where], bucket)
  }

  async assertCopied(): Promise<void> {
    assert.deepEqual(await this.list("far", "data"), await this.list("near", "photos"))
  }

  /** A gauge of the near store. */
  async gauge(name: string): Promise<number> {
    const [, value] = new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, "m").exec(await this.near.metrics()) ?? []
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
