/** The settings of buckets that decisions read: one reader for each kind, shared by all requests. */
import type { Acl } from "@hayloft/access/index.js"
import type { CompiledRules } from "@hayloft/features/lifecycle/index.js"
import type { RemoteSetting } from "@hayloft/features/remote-buckets/index.js"
import { BUCKET_ACL } from "../acl/bucket-acl.js"
import { BUCKET_POLICY, type BucketPolicy } from "./bucket-policy.js"
import { CORS, type CorsRule } from "./cors.js"
import { BUCKET_ENCRYPTION, type BucketEncryption } from "./encryption.js"
import { LIFECYCLE } from "./lifecycle.js"
import { OWNERSHIP_CONTROLS, type ObjectOwnership } from "./ownership-controls.js"
import { PUBLIC_ACCESS_BLOCK, type PublicAccessBlock } from "./public-access-block.js"
import { BUCKET_REMOTE } from "./remote.js"
import { REQUEST_PAYMENT, type RequestPayer } from "./request-payment.js"
import { BUCKET_TRANSFORMS, type BucketTransforms } from "./transforms.js"
import { WEBSITE, type Website } from "./website.js"
import { S3SettingReader, type SettingSource } from "./setting.js"

export class BucketSettings {
  readonly acl: S3SettingReader<Acl>
  readonly cors: S3SettingReader<readonly CorsRule[]>
  readonly encryption: S3SettingReader<BucketEncryption>
  readonly lifecycle: S3SettingReader<CompiledRules>
  readonly objectOwnership: S3SettingReader<ObjectOwnership>
  readonly policy: S3SettingReader<BucketPolicy>
  readonly publicAccessBlock: S3SettingReader<PublicAccessBlock>
  readonly remote: S3SettingReader<RemoteSetting>
  readonly requestPayment: S3SettingReader<RequestPayer>
  readonly transforms: S3SettingReader<BucketTransforms>
  readonly website: S3SettingReader<Website>

  constructor(buckets: SettingSource) {
    this.acl = new S3SettingReader(buckets, BUCKET_ACL)
    this.cors = new S3SettingReader(buckets, CORS)
    this.encryption = new S3SettingReader(buckets, BUCKET_ENCRYPTION)
    this.lifecycle = new S3SettingReader(buckets, LIFECYCLE)
    this.objectOwnership = new S3SettingReader(buckets, OWNERSHIP_CONTROLS)
    this.policy = new S3SettingReader(buckets, BUCKET_POLICY)
    this.publicAccessBlock = new S3SettingReader(buckets, PUBLIC_ACCESS_BLOCK)
    this.remote = new S3SettingReader(buckets, BUCKET_REMOTE)
    this.requestPayment = new S3SettingReader(buckets, REQUEST_PAYMENT)
    this.transforms = new S3SettingReader(buckets, BUCKET_TRANSFORMS)
    this.website = new S3SettingReader(buckets, WEBSITE)
  }
}
