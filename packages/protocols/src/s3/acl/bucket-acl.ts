/** The access control list of a bucket, as a setting of the bucket. */
import { isOwnerOnly } from "@hayloft/access/index.js"
import type { Acl, Grant } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { documentOf } from "../settings/setting.js"
import type { S3Setting } from "../settings/setting.js"
import { ACL_DOCUMENT, aclOfDocument, writeAcl } from "./requested-acl.js"
import type { RequestedGrant } from "./requested-acl.js"

export const BUCKET_ACL: S3Setting<Acl> = {
  name: "acl",
  root: ACL_DOCUMENT,
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: undefined,
  read(root) {
    const { owner, grants } = aclOfDocument(root)
    return { owner, grants: grants.map(storedGrant) }
  },
  write: (xml, acl) => writeAcl(xml, acl, () => undefined),
}

/** E-mail addresses are resolved before a list is stored. */
function storedGrant({ grantee, permission }: RequestedGrant): Grant {
  if (grantee.kind === "email") throw fail("corruptRecord", { what: "access control list" })
  return { grantee, permission }
}

/** A bucket's list as a setting; undefined if there is nothing to store. */
export const bucketAclDocument = (acl: Acl): string | undefined =>
  isOwnerOnly(acl) ? undefined : documentOf(BUCKET_ACL, acl)
