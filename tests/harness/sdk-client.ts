/** Amazon's SDK as a client of a server process. */
import { S3Client } from "@aws-sdk/client-s3"
import { CREDENTIALS, REGION, type ServerProcess } from "./server.js"

/** Uses a client of the server, and closes its connections. */
export async function withClient<T>(server: ServerProcess, use: (client: S3Client) => Promise<T>): Promise<T> {
  const credentials = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  const client = new S3Client({ endpoint: server.endpoint, region: REGION, credentials, forcePathStyle: true })
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}
