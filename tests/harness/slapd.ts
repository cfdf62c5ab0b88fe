/**
 * An OpenLDAP server of its own on loopback, with a directory of people in two forms: OpenLDAP's and Active Directory's.
 *
 * Promises  It is a child of the test with its own folder and configuration, and ends with it.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { setTimeout as later } from "node:timers/promises"
import { bindChild, runOk } from "./commands.js"
import { freePort } from "./free-port.js"

const PROGRAMS = "/usr/sbin"
const SCHEMAS = "/etc/ldap/schema"
const MODULES = "/usr/lib/ldap"
const POLL_MS = 20
const READY_TRIES = 500

/** The reason why tests with the server are skipped; false: they run. */
export const noSlapd: string | false =
  existsSync(`${PROGRAMS}/slapd`) &&
  existsSync(`${SCHEMAS}/inetorgperson.schema`) &&
  existsSync(`${MODULES}/back_mdb.so`)
    ? false
    : "no slapd (apt-get install slapd)"

export const BASE = "dc=example,dc=org"
export const READER = { dn: `cn=reader,${BASE}`, password: "reads, and no more" }
const ADMIN = { dn: `cn=admin,${BASE}`, password: "changes" }
export const PASSWORD = "correct horse: 100%+&é"

/** A name of letters that have a meaning in filters and in DNs. */
export const ODD = { name: "zo\u00eb (x)*\\", dn: `uid=zo\u00eb (x)*\\5c,ou=People,${BASE}` }

const person = (uid: string, cn: string, more = ""): string =>
  `dn: uid=${uid},ou=People,${BASE}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${cn}\nsn: x\nuserPassword: ${PASSWORD}\n${more}\n`

/** A part of Active Directory's schema of people, as far as sign-in asks for it. OpenLDAP's own schema of it has no matching rules. */
const AD_SCHEMA = `
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.102 NAME 'memberOf' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL MAY ( sAMAccountName $ userPrincipalName $ memberOf ) )
`

/** A person as Active Directory has them. */
const account = (name: string, sAMAccountName: string, groups: readonly string[]): string =>
  [
    `dn: CN=${name},OU=Staff,OU=AD,${BASE}`,
    "objectClass: user",
    `cn: ${name}`,
    "sn: x",
    `sAMAccountName: ${sAMAccountName}`,
    `userPrincipalName: ${sAMAccountName}@example.org`,
    ...groups.map(group => `memberOf: ${group}`),
    `userPassword: ${PASSWORD}`,
    "\n",
  ].join("\n")

const ENTRIES = [
  `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n`,
  `dn: ou=People,${BASE}\nobjectClass: organizationalUnit\nou: People\n`,
  `dn: ou=Groups,${BASE}\nobjectClass: organizationalUnit\nou: Groups\n`,
  `dn: ou=AD,${BASE}\nobjectClass: organizationalUnit\nou: AD\n`,
  `dn: OU=Staff,OU=AD,${BASE}\nobjectClass: organizationalUnit\nou: Staff\n`,
  `dn: ${READER.dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: ${READER.password}\n`,
  person("ann", "Ann Lee"),
  person("bob", "Bob"),
  `dn: ${ODD.dn}\nobjectClass: inetOrgPerson\nuid: ${ODD.name}\ncn: Zo\u00eb\nsn: x\nuserPassword: ${PASSWORD}\n`,
  person("twin", "One"),
  person("other", "Two", "uid: twin\n"),
  `dn: cn=admins,ou=Groups,${BASE}\nobjectClass: groupOfNames\ncn: admins\nmember: uid=ann,ou=People,${BASE}\n`,
  `dn: cn=Research\\, Development,ou=Groups,${BASE}\nobjectClass: groupOfNames\ncn: Research, Development\nmember: uid=ann,ou=People,${BASE}\nmember: ${ODD.dn}\n`,
  account("Carla Diaz", "cdiaz", [`CN=Storage,OU=AD,${BASE}`]),
  account("Dan Roe", "droe", []),
]

const configOf = (folder: string): string =>
  [
    ...["core", "cosine", "inetorgperson"].map(name => `include ${SCHEMAS}/${name}.schema`),
    AD_SCHEMA,
    `modulepath ${MODULES}`,
    "moduleload back_mdb",
    `TLSCertificateFile ${folder}/cert.pem`,
    `TLSCertificateKeyFile ${folder}/key.pem`,
    "database mdb",
    `suffix "${BASE}"`,
    `rootdn "${ADMIN.dn}"`,
    `rootpw ${ADMIN.password}`,
    `directory ${folder}/data`,
    "access to attrs=userPassword by anonymous auth by * none",
    `access to * by dn.exact="${READER.dn}" read by * none`,
    "",
  ].join("\n")

export class Slapd {
  private child: ChildProcess | undefined

  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly tlsPort: number,
  ) {}

  /** `certificate` is for connections with TLS. */
  static async start(folder: string, certificate: { readonly cert: string; readonly key: string }): Promise<Slapd> {
    mkdirSync(join(folder, "data"), { recursive: true })
    writeFileSync(join(folder, "cert.pem"), certificate.cert)
    writeFileSync(join(folder, "key.pem"), certificate.key)
    writeFileSync(join(folder, "slapd.conf"), configOf(folder))
    await runOk(`${PROGRAMS}/slapadd`, ["-q", "-f", join(folder, "slapd.conf")], { input: ENTRIES.join("\n") })
    const server = new Slapd(folder, await freePort(), await freePort())
    await server.launch()
    return server
  }

  get url(): string {
    return `ldap://127.0.0.1:${this.port}`
  }

  get tlsUrl(): string {
    return `ldaps://127.0.0.1:${this.tlsPort}`
  }

  get caFile(): string {
    return join(this.folder, "cert.pem")
  }

  async launch(): Promise<void> {
    const urls = `${this.url}/ ${this.tlsUrl}/`
    const args = ["-d", "0", "-h", urls, "-f", join(this.folder, "slapd.conf")]
    const child = spawn(`${PROGRAMS}/slapd`, args, { stdio: "ignore" })
    bindChild(child)
    this.child = child
    for (let tries = 0; !(await accepts(this.tlsPort)); tries += 1) {
      if (child.exitCode !== null || tries === READY_TRIES) throw new Error(`slapd does not start: ${child.exitCode}`)
      await later(POLL_MS)
    }
  }

  async stop(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill("SIGTERM")
    await once(child, "exit")
  }

  /** Applies changes in LDIF. */
  async change(ldif: string): Promise<void> {
    await runOk("ldapmodify", ["-x", "-H", this.url, "-D", ADMIN.dn, "-w", ADMIN.password], { input: ldif })
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
}
