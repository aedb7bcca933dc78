"""What is over goes after its time; what waits, and what is young, stays."""

from tests.support import running


async def test_old_mail_is_purged_and_what_waits_is_not() -> None:
    async with running("escrow") as service:
        await service.retention.stop()  # its own first round has nothing to find yet
        pool = service.database.pool
        await pool.execute(
            """
            INSERT INTO outbox (id, type, subject, sequence, body, at, sent_at) VALUES
                (gen_random_uuid(), 'old', 's', 1, '{}', now() - interval '40 days', now() - interval '40 days'),
                (gen_random_uuid(), 'young', 's', 2, '{}', now(), now())
            """
        )
        await pool.execute(
            """
            INSERT INTO inbox (id, source, outcome, at) VALUES
                ('\\x01', 'old', 'applied', now() - interval '32 days'),
                ('\\x02', 'a day behind the outbox', 'applied', now() - interval '30 days 12 hours')
            """
        )
        await pool.execute(
            """
            INSERT INTO instructions (id, kind, body, state, at, next_at) VALUES
                ('i1', 'k', '{}', 'done', now() - interval '40 days', now()),
                ('i2', 'k', '{}', 'due', now() - interval '40 days', now() + interval '1 day')
            """
        )
        assert await service.retention.purge() == 3
        assert await service.retention.purge() == 0
        left = await pool.fetch(
            "SELECT type FROM outbox UNION ALL SELECT source FROM inbox UNION ALL SELECT id FROM instructions"
        )
        assert {row[0] for row in left} == {"young", "a day behind the outbox", "i2"}


async def test_a_round_ends_only_when_nothing_old_is_left() -> None:
    async with running("escrow") as service:
        await service.retention.stop()
        await service.database.pool.execute(
            "INSERT INTO outbox (id, type, subject, sequence, body, at, sent_at) SELECT gen_random_uuid(), 'old', 's', n,"
            " '{}', now() - interval '40 days', now() - interval '40 days' FROM generate_series(1, 25000) AS n"
        )
        assert await service.retention.purge() == 25_000
