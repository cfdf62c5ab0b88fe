/** The addresses of a bucket, to copy into clients. */
import { Copyable } from "../parts/copy.js"
import { Facts } from "../parts/page.js"
import { s3Endpoint } from "../shell/session.js"

export function Addresses({ bucket }: { readonly bucket: string }) {
  const endpoint = s3Endpoint()
  return (
    <Facts
      facts={[
        ["Endpoint", <Copyable key="endpoint" label="endpoint" text={endpoint} />],
        ["Bucket", <Copyable key="bucket" label="address of the bucket" text={`${endpoint}/${bucket}`} />],
        ["For commands", <Copyable key="uri" label="S3 address" text={`s3://${bucket}`} />],
      ]}
    />
  )
}
