/** What agents call: CBOR in, CBOR out; refusals are JSON. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  ActivationRequestCodec,
  ChallengeCodec,
  EnrolmentAnswerCodec,
  EnrolmentChallengeCodec,
  EnrolmentRequestCodec,
  EVIDENCE_LIMITS,
  EvidenceAnswerCodec,
} from '../../evidence/index.ts';
import { attest } from '../attest.ts';
import { freshChallenge } from '../challenge.ts';
import type { ServerContext } from '../context.ts';
import { activateEnrolment, beginEnrolment } from '../enrol.ts';
import { ServerError } from '../error.ts';
import type { App } from '../http/app.ts';
import { isLoopback, type Listener } from '../listener.ts';

const CBOR = 'application/cbor';
const MESSAGE = { bodyLimit: EVIDENCE_LIMITS.message } as const;

export function agentRoutes(app: App, ctx: ServerContext, listener: Listener): void {
  app.addContentTypeParser(CBOR, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.post(
    '/agent/enrol',
    { ...MESSAGE, config: { access: 'join' }, schema: describe('Begin an enrolment') },
    async (request, reply) => {
      const joiner = joinerOf(request, listener);
      const challenge = await beginEnrolment(ctx, EnrolmentRequestCodec.decode(bodyOf(request)), joiner);
      return send(reply, EnrolmentChallengeCodec.encode(challenge));
    },
  );

  // Public: the enrolment's id and the credential that only its TPM opens say who asks. The join token may be used up
  // already, by this very enrolment, when an agent asks again for an answer that it lost.
  app.post(
    '/agent/activate',
    { ...MESSAGE, config: { access: 'public' }, schema: describe('Complete an enrolment') },
    async (request, reply) => {
      const answer = await activateEnrolment(ctx, ActivationRequestCodec.decode(bodyOf(request)));
      return send(reply, EnrolmentAnswerCodec.encode(answer));
    },
  );

  app.post(
    '/agent/evidence',
    { bodyLimit: ctx.settings.maxEvidenceBytes, config: { access: 'agent' }, schema: describe('Attest') },
    async (request, reply) => {
      const answer = await attest(ctx, hostOf(request), bodyOf(request));
      return send(reply, EvidenceAnswerCodec.encode(answer));
    },
  );

  app.post(
    '/agent/challenge',
    { ...MESSAGE, config: { access: 'agent' }, schema: describe('Ask for a fresh challenge') },
    async (request, reply) => send(reply, ChallengeCodec.encode(await freshChallenge(ctx, hostOf(request)))),
  );
}

const describe = (summary: string) => ({ summary, tags: ['agent'], consumes: [CBOR], produces: [CBOR] });

function send(reply: FastifyReply, bytes: Uint8Array): FastifyReply {
  return reply.type(CBOR).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function bodyOf(request: FastifyRequest): Uint8Array {
  if (request.body instanceof Uint8Array) return request.body;
  throw new ServerError('request.media-type', `the message must be ${CBOR}`);
}

function hostOf({ identity }: FastifyRequest): string {
  if (identity?.kind !== 'agent') throw new ServerError('token.forbidden', 'only an enrolled host may do this');
  return identity.hostId;
}

function joinerOf({ identity }: FastifyRequest, listener: Listener): Parameters<typeof beginEnrolment>[2] {
  if (identity?.kind !== 'join') throw new ServerError('token.forbidden', 'only a join token may do this');
  return { token: identity.token, demonstration: identity.demonstration, loopback: isLoopback(listener.address) };
}
