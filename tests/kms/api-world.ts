/** KMS without a server: requests signed like those of clients, over keys in memory. */
import assert from "node:assert/strict"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { Denials, RateLimiter } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import { KeyPolicies, KeyService } from "@hayloft/access/keys/index.js"
import { MemoryMaterials } from "@hayloft/access/keys/testing-materials.js"
import { createKmsHandler } from "@hayloft/protocols/kms/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { IamWorld, ROOT, sign, type Signer } from "../iam/world.js"
import { ask } from "../s3/ask.js"

export const REGION = "us-east-1"
export const B64 = (text: string): string => Buffer.from(text).toString("base64")

export type Members = Readonly<Record<string, unknown>>

export interface KmsAnswer {
  readonly status: number
  readonly text: string
  readonly type: string
  readonly members: Members
}

export class KmsApiWorld {
  readonly materials = new MemoryMaterials()
  readonly keys: KeyService
  readonly handler: Protocol
  readonly audit = new FakeAudit()
  private readonly random = new SimRandom(11)

  private constructor(readonly iam: IamWorld) {
    const { access, metadata } = iam.access
    const { accounts } = access
    const external = (kind: string): never => {
      throw fail("keyServiceUnavailable", { message: `the key service ${kind} cannot be reached` })
    }
    const { materials, random } = this
    this.keys = new KeyService({ metadata, random, materials, accounts, region: REGION, external })
    const clock: Clock = new RealClock()
    const policies = new KeyPolicies()
    const rates = new RateLimiter(clock, new SimTelemetry().metrics, () => 1)
    const denials = new Denials()
    this.handler = createKmsHandler({
      keys: this.keys,
      policies,
      accounts,
      random,
      clock,
      metrics: new SimTelemetry().metrics,
      denials,
      rates,
      attempts: attemptsWith(clock, this.audit),
      audit: this.audit,
    })
  }

  static async open(): Promise<KmsApiWorld> {
    return new KmsApiWorld(await IamWorld.open())
  }

  /** Returns any answer. `body`: an object, or the text of the body. */
  async ask(operation: string, body: Members | string = {}, signer: Signer | "unsigned" = ROOT): Promise<KmsAnswer> {
    const text = typeof body === "string" ? body : JSON.stringify(body)
    const target = ["x-amz-target", `TrentService.${operation}`]
    const rawHeaders = ["host", "localhost", "content-type", "application/x-amz-json-1.1", ...target]
    const request = { method: "POST", rawTarget: "/", rawHeaders, body: Buffer.from(text) }
    const { answer } = await ask(this.handler, signer === "unsigned" ? request : sign(request, "kms", signer))
    const bytes = answer?.body instanceof Uint8Array ? Buffer.from(answer.body).toString() : ""
    const members = (bytes === "" ? {} : JSON.parse(bytes)) as Members
    const type = typeof members["__type"] === "string" ? members["__type"] : ""
    return { status: answer?.status ?? 0, text: bytes, type, members }
  }

  /** Asserts an answer of 200. */
  async kms(operation: string, body: Members = {}, signer: Signer = ROOT): Promise<Members> {
    const { status, text, members } = await this.ask(operation, body, signer)
    assert.equal(status, 200, `${operation}: ${text}`)
    return members
  }

  async refused(
    type: string,
    operation: string,
    body: Members | string = {},
    signer: Signer | "unsigned" = ROOT,
  ): Promise<KmsAnswer> {
    const answer = await this.ask(operation, body, signer)
    assert.equal(answer.type, type, `${operation}: ${answer.status} ${answer.text}`)
    return answer
  }

  /** The id of a new key. */
  async key(members: Members = {}, signer: Signer = ROOT): Promise<string> {
    const { KeyMetadata } = await this.kms("CreateKey", members, signer)
    return String((KeyMetadata as Members)["KeyId"])
  }

  async metadata(KeyId: string): Promise<Members> {
    return (await this.kms("DescribeKey", { KeyId }))["KeyMetadata"] as Members
  }
}
