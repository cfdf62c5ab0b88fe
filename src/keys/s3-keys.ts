/**
 * Named keys as S3 uses them: the key of a new object, and whether the caller may use it.
 *
 * Failures  As those of `key-service.ts`, and `accessDenied`.
 * Source    "Using server-side encryption with AWS KMS keys", Amazon S3 User Guide.
 */
import { after, type Soon } from "../base/soon.js"
import { contextOfText } from "./encryption-context.js"
import { viaS3, type KeyCaller, type KeyPolicies, type NamedKey } from "./key-policies.js"
import type { KeyService } from "./key-service.js"
import { checkUsable } from "./change-key-core.js"

export interface S3Keys {
  /**
   * The ARN of the key that new bytes are sealed with. `name`: an id, alias or ARN; undefined: the key of the caller's
   * account. `context`: canonical JSON of all pairs. `reads`: the caller will also read what is sealed (multipart uploads).
   */
  forWriting(caller: KeyCaller, name: string | undefined, context: string, reads: boolean): Soon<string>
  /** Whether the caller may read bytes that are sealed with this key. */
  forReading(caller: KeyCaller, keyArn: string, context: string): Soon<void>
}

export class NamedS3Keys implements S3Keys {
  constructor(
    private readonly keys: KeyService,
    private readonly policies: KeyPolicies,
  ) {}

  forWriting(caller: KeyCaller, name: string | undefined, context: string, reads: boolean): Soon<string> {
    const { principal } = caller
    const found = name === undefined ? this.keys.s3Key(principal) : this.keys.find(name, principal)
    const actions = reads ? ["kms:GenerateDataKey", "kms:Decrypt"] : ["kms:GenerateDataKey"]
    return after(found, key => {
      this.check(caller, key, context, actions)
      return key.arn
    })
  }

  forReading(caller: KeyCaller, keyArn: string, context: string): Soon<void> {
    return after(this.keys.find(keyArn, caller.principal), key => this.check(caller, key, context, ["kms:Decrypt"]))
  }

  private check(caller: KeyCaller, key: NamedKey, context: string, actions: readonly string[]): void {
    const use = { encryptionContext: contextOfText(context), viaService: viaS3(this.keys.region) }
    for (const action of actions) this.policies.check(caller, key, { ...use, action })
    checkUsable(key.record, key.arn)
  }
}
