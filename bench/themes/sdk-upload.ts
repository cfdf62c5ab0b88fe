/** Uploads one large object with the AWS SDK and its defaults, four parts concurrently. */
import type { S3Access } from "@hayloft/client/signed-call.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { timed } from "../bench.js"

const PARTS_AT_ONCE = 4

export async function putBySdk(
  clock: Clock,
  access: S3Access,
  {
    bucket,
    key,
    part,
    parts,
  }: { readonly bucket: string; readonly key: string; readonly part: Buffer; readonly parts: number },
): Promise<number> {
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true"
  const { S3Client, CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand } =
    await import("@aws-sdk/client-s3")
  const { endpoint, region, accessKeyId, secretAccessKey } = access
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials })
  const of = { Bucket: bucket, Key: key }
  try {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(of))
    const numbers = Array.from({ length: parts }, (_, i) => i + 1)
    const { seconds } = await timed(clock, async () => {
      const Parts = await mapBounded(numbers, PARTS_AT_ONCE, async PartNumber => {
        const { ETag, ChecksumCRC32 } = await client.send(
          new UploadPartCommand({ ...of, UploadId, PartNumber, Body: part }),
        )
        return { PartNumber, ETag, ChecksumCRC32 }
      })
      await client.send(new CompleteMultipartUploadCommand({ ...of, UploadId, MultipartUpload: { Parts } }))
    })
    return seconds
  } finally {
    client.destroy()
  }
}
