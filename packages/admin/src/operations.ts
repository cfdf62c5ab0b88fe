/** All operations of `/v1`, each defined by what it is about; the API, the command line and the document are made from this. */
import { FEATURE_OPERATIONS, FEATURE_SETTINGS } from "@hayloft/features/index.js"
import { actionsOf } from "@hayloft/features/operator/index.js"
import { BUCKET_OPERATIONS } from "./buckets/bucket-operations.js"
import { ERASURE_OPERATIONS } from "./buckets/erasure-operations.js"
import { denialText } from "./denial-text.js"
import { denialJson } from "./explain-denial.js"
import { operation, type AdminOperation } from "./operation.js"
import { DENIAL } from "./schemas.js"
import { KEY_OPERATIONS } from "./identities/key-operations.js"
import { PLACEMENT_OPERATIONS } from "./store/placement-operations.js"
import { SETTING_OPERATIONS } from "./buckets/setting-operations.js"
import { SIMULATION_OPERATIONS } from "./store/simulation-operations.js"
import { STORE_OPERATIONS } from "./store/store-operations.js"
import { ACCOUNT_OPERATIONS } from "./identities/account-operations.js"
import { IDENTITY_OPERATIONS } from "./identities/identity-operations.js"
import { POLICY_OPERATIONS } from "./identities/policy-operations.js"
import { SIMULATE_OPERATIONS } from "./identities/simulate-operations.js"
import { LDAP_OPERATIONS } from "./identities/ldap-operations.js"
import { PROVIDER_OPERATIONS } from "./identities/provider-operations.js"
import { AUDIT_OPERATIONS } from "./store/audit-operations.js"
import { EVENT_OPERATIONS } from "./store/event-operations.js"
import { LIVE_OPERATIONS } from "./store/live-operations.js"
import { SHARE_OPERATIONS } from "./buckets/share-operations.js"
import { TOKEN_OPERATIONS } from "./identities/token-operations.js"

export const OPERATIONS: readonly AdminOperation[] = [
  ...STORE_OPERATIONS,
  ...PLACEMENT_OPERATIONS,
  ...SIMULATION_OPERATIONS,
  ...KEY_OPERATIONS,
  ...FEATURE_OPERATIONS,
  ...SETTING_OPERATIONS,
  ...TOKEN_OPERATIONS,
  ...AUDIT_OPERATIONS,
  ...ACCOUNT_OPERATIONS,
  ...IDENTITY_OPERATIONS,
  ...POLICY_OPERATIONS,
  ...PROVIDER_OPERATIONS,
  ...LDAP_OPERATIONS,
  ...LIVE_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...SIMULATE_OPERATIONS,
  ...SHARE_OPERATIONS,
  operation("explainDenial", "GET /v1/denials/{request}", {
    summary: "Explains why a request to S3, IAM or STS was denied, and the smallest change that would have helped.",
    answer: DENIAL,
    run: (services, { segment }) => denialJson(services, segment("request")),
    commands: [
      {
        name: "why",
        help: "why a recent request was denied (403), and the smallest statement that would have allowed it",
        inputs: { request: { flags: "<REQUEST-ID>", help: "x-amz-request-id or RequestId of the response" } },
        text: denialText,
      },
    ],
  }),
  ...BUCKET_OPERATIONS,
  ...ERASURE_OPERATIONS,
]

/** Every action of this API alone; other operations need those of S3 and IAM. */
export const adminActions = (): readonly string[] => [
  ...actionsOf(OPERATIONS),
  ...[...FEATURE_SETTINGS.values()].flatMap(({ actions }) => Object.values(actions)),
]
