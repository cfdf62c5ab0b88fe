/**
 * Named keys as S3 uses them: the key of a new object, and whether the caller may use it.
 *
 * Failures  As those of `key-service.ts`, and `accessDenied`.
 * Source    "Using server-side encryption with AWS KMS keys", Amazon S3 User Guide.
 */
import { after, type Soon } from "@hayloft/base/soon.js"
import { contextOfText } from "./encryption-context.js"
import { parseKeyReference, S3_ALIAS } from "./key-names.js"
import { viaS3, type KeyCaller, type KeyHolder, type KeyPolicies, type NamedKey } from "./key-policies.js"
import type { KeyService } from "./key-service.js"
import { checkUsable } from "./change-key-core.js"

export interface S3Keys {
  /**
   * The ARN of the key that new bytes are sealed with. `name`: an id, alias or ARN; undefined, and `alias/aws/s3`: the
   * key of the caller's account, which its first use makes. `context`: canonical JSON of all pairs. `reads`: the caller will also read what is sealed (multipart uploads).
   */
  forWriting(caller: KeyCaller, name: string | undefined, context: string, reads: boolean): Soon<string>
  /** Checks that the caller may read bytes that are sealed with this key. */
  forReading(caller: KeyCaller, keyArn: string, context: string): Soon<void>
}

export class NamedS3Keys implements S3Keys {
  constructor(
    private readonly keys: KeyService,
    private readonly policies: KeyPolicies,
  ) {}

  forWriting(caller: KeyCaller, name: string | undefined, context: string, reads: boolean): Soon<string> {
    const { principal } = caller
    const isS3Key = name === undefined || this.isS3Key(name, principal)
    const found = isS3Key ? this.keys.s3Key(principal) : this.keys.find(name, principal)
    const actions = reads ? ["kms:GenerateDataKey", "kms:Decrypt"] : ["kms:GenerateDataKey"]
    return after(found, key => {
      this.check(caller, key, context, actions)
      return key.arn
    })
  }

  forReading(caller: KeyCaller, keyArn: string, context: string): Soon<void> {
    return after(this.keys.find(keyArn, caller.principal), key => this.check(caller, key, context, ["kms:Decrypt"]))
  }

  /**
   * Returns true if the name is that of the account's key for S3, which its first use makes: so it need not exist yet.
   */
  private isS3Key(name: string, { accountNumber }: KeyHolder): boolean {
    const { reference, within } = parseKeyReference(name)
    if (reference.kind !== "alias" || reference.name !== S3_ALIAS) return false
    return within === undefined || (within.account === accountNumber && within.region === this.keys.region)
  }

  private check(caller: KeyCaller, key: NamedKey, context: string, actions: readonly string[]): void {
    const use = { encryptionContext: contextOfText(context), viaService: viaS3(this.keys.region) }
    for (const action of actions) this.policies.check(caller, key, { ...use, action })
    checkUsable(key.record, key.arn)
  }
}
