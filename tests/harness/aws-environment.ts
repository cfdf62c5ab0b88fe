/** The environment in which programs that are made for AWS talk to a store, and to nothing else. */
import { CREDENTIALS, REGION } from "./server.js"

interface Keys {
  readonly accessKey: string
  readonly secretKey: string
  readonly token?: string | undefined
}

export interface AwsPlace {
  readonly endpoint: string
  /** An empty folder: what they find in the user's own must not count. */
  readonly home: string
  readonly credentials?: Keys
}

export const awsEnvironment = ({ endpoint, home, credentials }: AwsPlace) => ({
  AWS_ACCESS_KEY_ID: (credentials ?? CREDENTIALS).accessKey,
  AWS_SECRET_ACCESS_KEY: (credentials ?? CREDENTIALS).secretKey,
  AWS_SESSION_TOKEN: credentials?.token,
  AWS_PROFILE: undefined,
  AWS_REGION: REGION,
  AWS_DEFAULT_REGION: REGION,
  AWS_ENDPOINT_URL: endpoint,
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_PAGER: "",
  HOME: home,
  LC_ALL: "C.UTF-8",
})
