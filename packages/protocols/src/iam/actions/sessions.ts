/** STS: the caller's identity, and temporary credentials. */
import { providerArn, type AssumeRequest, type IssuedSession } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { guarded, open, REFUSED, signed, type Actions, type IamCall, type OpenCall, type IamResult } from "../action.js"
import { mayNameRole } from "../named-roles.js"
import { invalidIamParameter } from "../parameters.js"
import { writeCredentials } from "../shapes.js"
import { onAccount } from "../targets.js"

const ASSUMING = "RoleArn RoleSessionName DurationSeconds Policy PolicyArns"
/** A rough bound; the service checks the exact limits. */
const PERSON_SECONDS = { least: 0, most: 100_000_000 } as const
const SECONDS = { least: 0, most: 1_000_000 } as const
const KEY_ID = /^[0-9A-Za-z._=+/@-]{3,128}$/

export const SESSIONS: Actions = {
  GetCallerIdentity: signed("", getCallerIdentity),
  GetSessionToken: signed("DurationSeconds", getSessionToken),
  AssumeRole: signed(`${ASSUMING} Tags ExternalId`, assumeRole),
  AssumeRoleWithWebIdentity: open(`${ASSUMING} WebIdentityToken`, assumeRoleWithWebIdentity),
  AssumeRoleWithLDAPIdentity: open("LDAPUsername LDAPPassword DurationSeconds Policy", assumeRoleWithLdapIdentity),
  GetAccessKeyInfo: guarded(onAccount, "AccessKeyId", getAccessKeyInfo),
  DecodeAuthorizationMessage: REFUSED,
  GetFederationToken: REFUSED,
  AssumeRoleWithSAML: REFUSED,
}

const arnOfCaller = ({ caller: { principal } }: IamCall): string =>
  principal.kind === "session" ? principal.sessionArn : principal.arn

async function getCallerIdentity(call: IamCall): Promise<IamResult> {
  const { caller, number } = call
  return xml => void xml.text("Arn", arnOfCaller(call)).text("UserId", caller.principal.userId).text("Account", number)
}

function sessionOfCaller({ sessions, caller, parameters, nowMs }: IamCall): IssuedSession {
  const seconds = parameters.whole("DurationSeconds", SECONDS)
  return sessions.ofKey(caller, { seconds, policy: parameters.optional("Policy"), nowMs })
}

async function getSessionToken(call: IamCall): Promise<IamResult> {
  const issued = sessionOfCaller(call)
  return xml => writeCredentials(xml, issued)
}

function requestOf({ parameters, context, nowMs }: OpenCall): AssumeRequest {
  return {
    roleArn: parameters.text("RoleArn"),
    sessionName: parameters.text("RoleSessionName"),
    seconds: parameters.whole("DurationSeconds", SECONDS),
    policy: parameters.optional("Policy"),
    policyArns: parameters.list("PolicyArns", "arn"),
    tags: parameters.tags(),
    context,
    nowMs,
  }
}

/** Without a role, as clients of MinIO call it, the credentials act as the caller, within a policy that they may have. */
async function assumeNoRole(call: IamCall): Promise<IamResult> {
  const { parameters } = call
  const unknown = [parameters.list("PolicyArns", "arn"), parameters.tags()]
  if (unknown.some(({ length }) => length > 0)) {
    const message =
      "AssumeRole without a role takes a Policy, but no PolicyArns and no tags: make a role with them, and name it in RoleArn."
    throw fail("notImplemented", { message })
  }
  const issued = sessionOfCaller(call)
  return xml => {
    writeCredentials(xml, issued)
    xml.group("AssumedRoleUser", user =>
      user.text("AssumedRoleId", call.caller.principal.userId).text("Arn", arnOfCaller(call)),
    )
  }
}

async function assumeRole(call: IamCall): Promise<IamResult> {
  const { parameters, accounts, ignoresUnknownRoles } = call
  const arn = parameters.optional("RoleArn")
  if (arn === undefined || !(await mayNameRole(arn, accounts, ignoresUnknownRoles))) return assumeNoRole(call)
  const assumed = await call.sessions.assume(call.caller, requestOf(call))
  return xml => {
    writeCredentials(xml, assumed)
    xml.group("AssumedRoleUser", role => role.text("AssumedRoleId", assumed.userId).text("Arn", assumed.arn))
  }
}

async function assumeRoleWithWebIdentity(call: OpenCall): Promise<IamResult> {
  const { parameters, sessions, webIdentities, nowMs } = call
  const request = requestOf(call)
  const identity = await webIdentities.verify(parameters.text("WebIdentityToken"), request.roleArn, nowMs)
  const assumed = await sessions.assumeByWeb(identity, request)
  return xml => {
    writeCredentials(xml, assumed)
    xml.text("SubjectFromWebIdentityToken", identity.subject)
    xml.group("AssumedRoleUser", role => role.text("AssumedRoleId", assumed.userId).text("Arn", assumed.arn))
    xml.text("Provider", providerArn(identity.account.number, identity.provider.url))
    xml.text("Audience", identity.audience)
  }
}

async function assumeRoleWithLdapIdentity(call: OpenCall): Promise<IamResult> {
  const { parameters, ldap, nowMs } = call
  if (ldap === undefined) {
    const message = "No LDAP directory is configured: start the server with --ldap-server (docs/operate/ldap.md)."
    throw fail("notImplemented", { message })
  }
  const claim = { login: parameters.text("LDAPUsername"), password: parameters.text("LDAPPassword") }
  const request = {
    seconds: parameters.whole("DurationSeconds", PERSON_SECONDS),
    policy: parameters.optional("Policy"),
    nowMs,
  }
  const issued = await ldap.begin(claim, request, call)
  return xml => writeCredentials(xml, issued)
}

/** Reveals nothing about keys of other accounts, not even whether they exist. */
async function getAccessKeyInfo({ parameters, accounts, caller, accountId, number }: IamCall): Promise<IamResult> {
  const text = parameters.text("AccessKeyId")
  if (!KEY_ID.test(text)) throw invalidIamParameter("The AccessKeyId is not valid.")
  const owner = text === caller.id ? accountId : (await accounts.getKey(parseAccessKeyId(text)))?.accountId
  if (owner !== accountId) throw fail("accessDenied", { message: "The access key does not belong to this account." })
  return xml => void xml.text("Account", number)
}
