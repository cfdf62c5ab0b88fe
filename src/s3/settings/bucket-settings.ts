/** The settings of buckets that decisions read: one reader for each kind, shared by all requests. */
import type { Acl } from "../../access/index.js"
import type { CompiledRules } from "../../object/index.js"
import type { RemoteSetting } from "../../features/remote-buckets/index.js"
import { BUCKET_ACL } from "../acl/bucket-acl.js"
import { BUCKET_POLICY, type BucketPolicy } from "./bucket-policy.js"
import { CORS, type CorsRule } from "./cors.js"
import { BUCKET_ENCRYPTION, type BucketEncryption } from "./encryption.js"
import { LIFECYCLE } from "./lifecycle.js"
import { OWNERSHIP_CONTROLS, type ObjectOwnership } from "./ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK, type PublicAccessBlock } from "./public-access-block.js"
import { BUCKET_REMOTE } from "./remote.js"
import { REQUEST_PAYMENT, type Payer } from "./request-payment.js"
import { BUCKET_TRANSFORMS, type BucketTransforms } from "./transforms.js"
import { WEBSITE, type Website } from "./website.js"
import { SettingReader, type SettingSource } from "./setting.js"

export class BucketSettings {
  readonly acl: SettingReader<Acl>
  readonly cors: SettingReader<readonly CorsRule[]>
  readonly encryption: SettingReader<BucketEncryption>
  readonly lifecycle: SettingReader<CompiledRules>
  readonly objectOwnership: SettingReader<ObjectOwnership>
  readonly policy: SettingReader<BucketPolicy>
  readonly publicAccessBlock: SettingReader<PublicAccessBlock>
  readonly remote: SettingReader<RemoteSetting>
  readonly requestPayment: SettingReader<Payer>
  readonly transforms: SettingReader<BucketTransforms>
  readonly website: SettingReader<Website>

  constructor(buckets: SettingSource) {
    this.acl = new SettingReader(buckets, BUCKET_ACL)
    this.cors = new SettingReader(buckets, CORS)
    this.encryption = new SettingReader(buckets, BUCKET_ENCRYPTION)
    this.lifecycle = new SettingReader(buckets, LIFECYCLE)
    this.objectOwnership = new SettingReader(buckets, OWNERSHIP_CONTROLS)
    this.policy = new SettingReader(buckets, BUCKET_POLICY)
    this.publicAccessBlock = new SettingReader(buckets, PUBLIC_ACCESS_BLOCK)
    this.remote = new SettingReader(buckets, BUCKET_REMOTE)
    this.requestPayment = new SettingReader(buckets, REQUEST_PAYMENT)
    this.transforms = new SettingReader(buckets, BUCKET_TRANSFORMS)
    this.website = new SettingReader(buckets, WEBSITE)
  }
}
