/** Lines to put the first object into an empty store, for each of the usual clients, with this store's endpoint and key. */
import { useSignal } from "@preact/signals"
import { CopyButton } from "../parts/copy-button.js"
import { Section } from "../parts/page.js"
import { pathTo } from "../shell/router.js"
import { mayUse, s3Place, session } from "../shell/session.js"

const CLIENTS = ["aws", "mc", "rclone", "curl"] as const
type Client = (typeof CLIENTS)[number]

const SECRET = "SECRET_KEY"

function linesFor(client: Client, bucket: string, accessKeyId: string): string {
  const { endpoint, region } = s3Place()
  switch (client) {
    case "aws":
      return [
        `export AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${SECRET}`,
        `export AWS_ENDPOINT_URL=${endpoint} AWS_REGION=${region}`,
        `aws s3 mb s3://${bucket}`,
        `aws s3 cp README.md s3://${bucket}/`,
      ].join("\n")
    case "mc":
      return [
        `mc alias set hayloft ${endpoint} ${accessKeyId} ${SECRET}`,
        `mc mb --ignore-existing hayloft/${bucket}`,
        `mc cp README.md hayloft/${bucket}/`,
      ].join("\n")
    case "rclone":
      return [
        `rclone config create hayloft s3 provider=Other endpoint=${endpoint} region=${region} access_key_id=${accessKeyId} secret_access_key=${SECRET}`,
        `rclone copy README.md hayloft:${bucket}`,
      ].join("\n")
    case "curl": {
      const signed = `curl --aws-sigv4 aws:amz:${region}:s3 --user ${accessKeyId}:${SECRET} -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'`
      return [`${signed} -X PUT ${endpoint}/${bucket}`, `${signed} -T README.md ${endpoint}/${bucket}/`].join("\n")
    }
  }
}

/** The key of the one who has signed in; the operator has none. */
function ownKey(): string | undefined {
  const { value } = session
  const who = value.kind === "signedIn" ? value.session.who : undefined
  return who?.kind === "principal" ? who.accessKeyId : undefined
}

/** `bucket`: one that is there already. */
export function FirstObject({ bucket }: { readonly bucket: string | undefined }) {
  const client = useSignal<Client>("aws")
  const key = ownKey()
  const text = linesFor(client.value, bucket ?? "first", key ?? "ACCESS_KEY")
  return (
    <Section title="Put your first object" hint="The store is empty. Use the client of your choice, or this browser.">
      <div class="choices" role="group" aria-label="Client">
        {CLIENTS.map(name => (
          <button
            key={name}
            type="button"
            class="button"
            aria-pressed={name === client.value}
            onClick={() => (client.value = name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="copied-code">
        <pre class="code" tabIndex={0} aria-label={`Lines for ${client.value}`}>
          {text}
        </pre>
        <CopyButton label="Copy the lines" text={text} />
      </div>
      <p class="hint">
        {SECRET} is the secret of {key === undefined ? "the access key" : key}: the first start of the server printed
        that of the root user, and <code>hayloft env</code> shows it.
      </p>
      <p>
        {bucket === undefined ? (
          mayUse("createBucket") && <a href={pathTo(["buckets"])}>Create a bucket in this browser</a>
        ) : (
          <a href={pathTo(["buckets", bucket])}>Upload files to {bucket} in this browser</a>
        )}
      </p>
    </Section>
  )
}
