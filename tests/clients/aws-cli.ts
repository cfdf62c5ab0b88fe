/** The AWS CLI as a client of a server. Each call costs half a second of a processor: boto3 has the details. */
import assert from "node:assert/strict"
import { awsEnvironment, type AwsPlace } from "../harness/aws-environment.js"
import { findProgram, run, type CommandResult } from "../harness/commands.js"

const aws = findProgram("aws")
export const noAws = aws === undefined ? "aws is not installed" : false

const CALL_MS_MAX = 200_000

export class AwsCli {
  constructor(
    private readonly place: () => AwsPlace,
    private readonly env: Readonly<Record<string, string | undefined>> = {},
  ) {}

  /** Runs `aws …`, with other keys if these are given. Releases before 2.13 do not read the endpoint from the environment. */
  run(args: readonly string[], credentials?: AwsPlace["credentials"]): Promise<CommandResult> {
    const place = { ...this.place(), ...(credentials && { credentials }) }
    const env = { ...awsEnvironment(place), ...this.env }
    const all = ["--endpoint-url", place.endpoint, "--output", "json", ...args]
    return run(aws ?? "", all, { env, timeoutMs: CALL_MS_MAX })
  }

  /** Returns the output. */
  async ok(args: readonly string[], credentials?: AwsPlace["credentials"]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, credentials)
    assert.equal(code, 0, `aws ${args.join(" ")}: ${stderr}`)
    return stdout
  }

  async refused(pattern: RegExp, args: readonly string[], credentials?: AwsPlace["credentials"]): Promise<void> {
    const { code, stderr } = await this.run(args, credentials)
    assert.notEqual(code, 0, `aws ${args.join(" ")}`)
    assert.match(stderr, pattern)
  }
}
