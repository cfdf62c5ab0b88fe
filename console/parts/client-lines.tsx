/** Lines to paste for each of the usual clients, by which it uses a key, and files to keep. */
import { useSignal } from "@preact/signals"
import { Button } from "./button.js"
import { CopyButton } from "./copy-button.js"
import { SelectField } from "./fields.js"
import { saveFile } from "./save-file.js"

export interface ClientAccess {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly endpoint: string
  readonly region: string
}

const variablesOf = ({ accessKeyId, secretAccessKey, endpoint, region }: ClientAccess): readonly string[] => [
  `AWS_ACCESS_KEY_ID=${accessKeyId}`,
  `AWS_SECRET_ACCESS_KEY=${secretAccessKey}`,
  `AWS_ENDPOINT_URL=${endpoint}`,
  `AWS_REGION=${region}`,
]

const CLIENTS = [
  ["environment", "Environment variables (aws, SDKs)"],
  ["profile", "Profile in ~/.aws"],
  ["mc", "mc"],
  ["rclone", "rclone"],
] as const

type Client = (typeof CLIENTS)[number][0]

function linesFor(client: Client, access: ClientAccess): readonly string[] {
  const { accessKeyId, secretAccessKey, endpoint, region } = access
  switch (client) {
    case "environment":
      return variablesOf(access).map(line => `export ${line}`)
    case "profile":
      return [
        "# ~/.aws/credentials",
        "[hayloft]",
        `aws_access_key_id = ${accessKeyId}`,
        `aws_secret_access_key = ${secretAccessKey}`,
        "",
        "# ~/.aws/config",
        "[profile hayloft]",
        `endpoint_url = ${endpoint}`,
        `region = ${region}`,
      ]
    case "mc":
      return [`mc alias set hayloft ${endpoint} ${accessKeyId} ${secretAccessKey}`]
    case "rclone":
      return [
        "# ~/.config/rclone/rclone.conf",
        "[hayloft]",
        "type = s3",
        "provider = Other",
        `access_key_id = ${accessKeyId}`,
        `secret_access_key = ${secretAccessKey}`,
        `endpoint = ${endpoint}`,
        `region = ${region}`,
      ]
  }
}

const csvOf = ({ accessKeyId, secretAccessKey }: ClientAccess): string =>
  `Access key ID,Secret access key\r\n${accessKeyId},${secretAccessKey}\r\n`

export function ClientLines({ access, name }: { readonly access: ClientAccess; readonly name: string }) {
  const client = useSignal<Client>("environment")
  const text = linesFor(client.value, access).join("\n")
  return (
    <div class="client-lines">
      <SelectField label="Lines for" value={client} options={CLIENTS} />
      <div class="copied-code">
        <pre class="code" tabIndex={0} aria-label="Lines to paste">
          {text}
        </pre>
        <CopyButton label="Copy the lines" text={text} />
      </div>
      <div class="actions">
        <Button icon="download" onClick={() => saveFile(`${name}.csv`, "text/csv", csvOf(access))}>
          Download .csv
        </Button>
        <Button
          icon="download"
          onClick={() => saveFile(`${name}.env`, "text/plain", `${variablesOf(access).join("\n")}\n`)}
        >
          Download .env
        </Button>
      </div>
    </div>
  )
}
