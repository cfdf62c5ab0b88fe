/** `hayloft env`: the store's endpoint and root credentials as lines for a shell, or as JSON. */
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"
import { CA_BUNDLE, localCredentials, type StoreOptions } from "./stores.js"
import { shellWord } from "./text.js"

export interface EnvOptions extends StoreOptions, OutputOptions {
  readonly admin?: boolean
}

export async function envCommand(io: CliIo, options: EnvOptions): Promise<void> {
  const store = await localCredentials(io, options)
  const variables = {
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
    AWS_REGION: store.region,
    // boto3 and version 1 of the AWS CLI only support this name.
    AWS_DEFAULT_REGION: store.region,
    AWS_ENDPOINT_URL: store.endpoint,
    ...(store.certificateFile === undefined ? {} : { [CA_BUNDLE]: store.certificateFile }),
    ...(options.admin === true
      ? { HAYLOFT_ADMIN_ENDPOINT: store.adminEndpoint, HAYLOFT_ADMIN_TOKEN: store.adminToken }
      : {}),
  }
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${shellWord(value)}\n`)
  await answer(io, options, variables, lines.join(""))
}
