/** Policies to start from. They are valid as they stand; names in capital letters are to be replaced. */

interface PolicyTemplate {
  readonly title: string
  readonly statements: readonly Readonly<Record<string, unknown>>[]
}

/** The purpose of a policy: it decides who must be named, and which templates there are. */
export type PolicySubject =
  | { readonly kind: "identity" }
  | { readonly kind: "trust" }
  | { readonly kind: "resource"; readonly bucket: string }

const READ = ["s3:GetObject", "s3:GetObjectVersion"]
const LIST = ["s3:ListBucket", "s3:GetBucketLocation"]
const WRITE = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]

/** The engine puts in the name of the user. */
const OWN = `\${aws:username}/`

const IDENTITY: readonly PolicyTemplate[] = [
  {
    title: "Read one bucket",
    statements: [
      { Effect: "Allow", Action: LIST, Resource: "arn:aws:s3:::BUCKET" },
      { Effect: "Allow", Action: READ, Resource: "arn:aws:s3:::BUCKET/*" },
    ],
  },
  {
    title: "Read and write one bucket",
    statements: [
      { Effect: "Allow", Action: LIST, Resource: "arn:aws:s3:::BUCKET" },
      { Effect: "Allow", Action: [...READ, ...WRITE, "s3:DeleteObject"], Resource: "arn:aws:s3:::BUCKET/*" },
    ],
  },
  {
    title: "Write without reading (backups)",
    statements: [{ Effect: "Allow", Action: WRITE, Resource: "arn:aws:s3:::BUCKET/*" }],
  },
  {
    title: "A folder for each user",
    statements: [
      {
        Effect: "Allow",
        Action: "s3:ListBucket",
        Resource: "arn:aws:s3:::BUCKET",
        Condition: { StringLike: { "s3:prefix": `${OWN}*` } },
      },
      {
        Effect: "Allow",
        Action: [...READ, ...WRITE, "s3:DeleteObject"],
        Resource: `arn:aws:s3:::BUCKET/${OWN}*`,
      },
    ],
  },
  { title: "Everything in S3", statements: [{ Effect: "Allow", Action: "s3:*", Resource: "*" }] },
]

const TRUST: readonly PolicyTemplate[] = [
  {
    title: "Users of one account",
    statements: [{ Effect: "Allow", Principal: { AWS: "arn:aws:iam::000000000000:root" }, Action: "sts:AssumeRole" }],
  },
  {
    title: "People of an OpenID Connect provider",
    statements: [
      {
        Effect: "Allow",
        Principal: { Federated: "arn:aws:iam::000000000000:oidc-provider/ISSUER" },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: { StringEquals: { "ISSUER:aud": "CLIENT-ID" } },
      },
    ],
  },
]

const resourceTemplates = (bucket: string): readonly PolicyTemplate[] => {
  const [arn, objects] = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
  const user = { AWS: "arn:aws:iam::000000000000:user/NAME" }
  return [
    {
      title: "One user reads",
      statements: [
        { Effect: "Allow", Principal: user, Action: LIST, Resource: arn },
        { Effect: "Allow", Principal: user, Action: READ, Resource: objects },
      ],
    },
    {
      title: "Another account reads and writes",
      statements: [
        { Effect: "Allow", Principal: { AWS: "000000000000" }, Action: LIST, Resource: arn },
        { Effect: "Allow", Principal: { AWS: "000000000000" }, Action: [...READ, ...WRITE], Resource: objects },
      ],
    },
    {
      title: "Everybody reads, without a key (public)",
      statements: [{ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: objects }],
    },
    {
      title: "Refuse connections without TLS",
      statements: [
        {
          Effect: "Deny",
          Principal: "*",
          Action: "s3:*",
          Resource: [arn, objects],
          Condition: { Bool: { "aws:SecureTransport": "false" } },
        },
      ],
    },
    {
      title: "Refuse other networks",
      statements: [
        {
          Effect: "Deny",
          Principal: "*",
          Action: "s3:*",
          Resource: [arn, objects],
          Condition: { NotIpAddress: { "aws:SourceIp": "192.0.2.0/24" } },
        },
      ],
    },
  ]
}

export function templatesFor(subject: PolicySubject): readonly PolicyTemplate[] {
  switch (subject.kind) {
    case "identity":
      return IDENTITY
    case "trust":
      return TRUST
    case "resource":
      return resourceTemplates(subject.bucket)
  }
}

export const templateText = ({ statements }: PolicyTemplate): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements }, undefined, 2)
