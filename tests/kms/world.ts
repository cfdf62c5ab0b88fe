/** External key services over stand-ins, in virtual time and without connections. */
import { parseKmsKeyId } from "@hayloft/base/ids.js"
import { contextOfPairs } from "@hayloft/access/keys/encryption-context.js"
import { ExternalKeys } from "@hayloft/access/keys/external-keys.js"
import type { KeyProvider, ProviderKey } from "@hayloft/access/keys/provider.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SimServices } from "@hayloft/base/seams/web/sim.js"
import { AwsStandIn } from "./aws.js"
import { VaultStandIn } from "./vault.js"

export const VAULT_ORIGIN = "https://vault.test:8200"
export const AWS_ORIGIN = "https://kms.eu-north-1.test"
export const CONTEXT = contextOfPairs([
  ["aws:s3:arn", "arn:aws:s3:::photos/cat"],
  ["team", "møøse"],
])
export const OTHER_CONTEXT = contextOfPairs([["aws:s3:arn", "arn:aws:s3:::photos/dog"]])

export const keyOf = (name: string): ProviderKey => ({
  id: parseKmsKeyId("0a1b2c3d-0000-4000-8000-000000000001"),
  name,
  version: 1,
})

export class KmsWorld {
  readonly clock = new SimClock()
  readonly telemetry = new SimTelemetry()
  readonly web = new SimServices()
  readonly disk = new SimDisk().boot()
  readonly vault = new VaultStandIn("team/transit", "emea")
  readonly aws = new AwsStandIn(() => this.clock.wallMs())
  readonly arn = this.aws.addKey("one")
  readonly keys: ExternalKeys

  private constructor(keepMs: number) {
    this.vault.addKey("photos")
    this.connect()
    const { clock, telemetry, web, disk } = this
    this.keys = new ExternalKeys(
      { clock, telemetry, web, disk, random: new SimRandom(1) },
      {
        vault: {
          url: VAULT_ORIGIN,
          tokenFile: "/secrets/token",
          mount: "team/transit",
          namespace: "emea",
          authoritiesFile: undefined,
        },
        aws: { endpoint: AWS_ORIGIN, region: "eu-north-1", credentialsFile: "/secrets/aws" },
        keepMs,
      },
    )
  }

  /** `keepMs`: how long opened keys are kept. */
  static async open(keepMs = 0): Promise<KmsWorld> {
    const world = new KmsWorld(keepMs)
    await world.disk.makeFolder("/secrets")
    await world.writeToken()
    await world.writeCredentials()
    return world
  }

  connect(): void {
    this.web.serve(VAULT_ORIGIN, this.vault.answer)
    this.web.serve(AWS_ORIGIN, this.aws.answer)
  }

  /** The machines are off. */
  disconnect(): void {
    this.web.end(VAULT_ORIGIN)
    this.web.end(AWS_ORIGIN)
  }

  provider(service: "vault" | "aws"): { provider: KeyProvider; key: ProviderKey; standIn: VaultStandIn | AwsStandIn } {
    const [key, standIn] = service === "vault" ? [keyOf("photos"), this.vault] : [keyOf(this.arn), this.aws]
    return { provider: this.keys.provider(service), key, standIn }
  }

  writeToken(): Promise<void> {
    return this.write("/secrets/token", `${this.vault.token}\n`)
  }

  writeCredentials(): Promise<void> {
    const { accessKeyId, secret, sessionToken } = this.aws.credentials
    const lines = [
      "[other]",
      "aws_access_key_id = OTHER",
      "aws_secret_access_key = other",
      "",
      "[default]",
      `aws_access_key_id = ${accessKeyId}`,
      `aws_secret_access_key=${secret}`,
      ...(sessionToken === undefined ? [] : [`aws_session_token = ${sessionToken}`]),
    ]
    return this.write("/secrets/aws", lines.join("\n"))
  }

  async write(path: string, text: string): Promise<void> {
    if (await this.disk.exists(path)) await this.disk.remove(path)
    const file = await this.disk.open(path, "create")
    await file.write([Buffer.from(text)], 0)
    await file.close()
  }
}
