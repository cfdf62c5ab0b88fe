/** The bucket of `npm run dev`: a few objects, small and large. */
const BUCKET = "seed"

const OBJECTS = [
  ["hello.txt", "hello\n"],
  ["folder/one", "1"],
  ["folder/two", "2"],
  ["names/caf\u00e9 + 100%.txt", "a name with everything\n"],
]

/** Returns the name of the bucket. */
export async function seed(access, clock, signal) {
  const { S3Client } = await import("../../dist/packages/client/src/s3-client.js")
  const client = new S3Client(access, clock, signal)
  try {
    await client.createBucket(BUCKET)
    for (const [key, text] of OBJECTS) {
      await client.put({ bucket: BUCKET, key, body: Buffer.from(text), contentType: "text/plain; charset=utf-8" })
    }
    await client.put({ bucket: BUCKET, key: "large.bin", body: Buffer.alloc(20 * 1024 * 1024, "x") })
  } finally {
    client.close()
  }
  return BUCKET
}
