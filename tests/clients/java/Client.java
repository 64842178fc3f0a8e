import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.ConnectionFactoryBuilder.Protocol;
import net.spy.memcached.ConnectionObserver;
import net.spy.memcached.FailureMode;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.transcoders.SerializingTranscoder;

/**
 * spymemcached through a TLS tunnel: every kind of command that the library has.
 *
 * <p>The library has no TLS of its own, so MEMTIDE_HOST and MEMTIDE_PORT name the near end of a
 * stunnel in client mode that verifies the server for it.
 */
public final class Client {
  private static final long DEADLINE_MS = 10_000;

  private final MemcachedClient cache;
  private int passed;

  private Client(MemcachedClient cache) {
    this.cache = cache;
  }

  public static void main(String[] arguments) throws Exception {
    System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
    java.util.logging.LogManager.getLogManager().reset();
    Client client = new Client(connect());
    try {
      client.store();
      client.many();
      client.delete();
      client.arithmetic();
      client.cas();
      client.timeToLive();
      client.values();
      client.server();
      System.out.println(client.passed + " checks passed");
    } finally {
      client.cache.shutdown();
    }
  }

  private static MemcachedClient connect() throws IOException, InterruptedException {
    CountDownLatch connected = new CountDownLatch(1);
    ConnectionObserver observer =
        new ConnectionObserver() {
          @Override
          public void connectionEstablished(SocketAddress address, int reconnects) {
            connected.countDown();
          }

          @Override
          public void connectionLost(SocketAddress address) {}
        };
    SerializingTranscoder transcoder = new SerializingTranscoder(2 << 20);
    transcoder.setCompressionThreshold(Integer.MAX_VALUE);
    ConnectionFactoryBuilder factory =
        new ConnectionFactoryBuilder()
            .setProtocol(Protocol.TEXT)
            .setFailureMode(FailureMode.Cancel)
            .setInitialObservers(List.of(observer))
            .setTranscoder(transcoder)
            .setOpTimeout(DEADLINE_MS);
    String host = System.getenv("MEMTIDE_HOST");
    int port = Integer.parseInt(System.getenv("MEMTIDE_PORT"));
    InetSocketAddress address = new InetSocketAddress(host, port);
    MemcachedClient cache = new MemcachedClient(factory.build(), List.of(address));
    // In this failure mode, what is asked for before there is a connection is cancelled.
    if (!connected.await(DEADLINE_MS, TimeUnit.MILLISECONDS)) {
      throw new IOException("no connection to " + address);
    }
    return cache;
  }

  /** Prints a line for a check that holds; ends the program at the first that does not. */
  private void check(String name, boolean holds) {
    if (!holds) {
      System.err.println("FAILED " + name);
      System.exit(1);
    }
    passed++;
    System.out.println("ok " + name);
  }

  private static <T> T wait(Future<T> reply)
      throws InterruptedException, ExecutionException, TimeoutException {
    return reply.get(DEADLINE_MS, TimeUnit.MILLISECONDS);
  }

  private void store() throws Exception {
    check("set", wait(cache.set("java:a", 0, "1")));
    check("get", "1".equals(cache.get("java:a")));
    check("get of a missing key", cache.get("java:none") == null);
    check("add of a key that exists", !wait(cache.add("java:a", 0, "2")));
    check("replace of a missing key", !wait(cache.replace("java:none", 0, "2")));
    check("append", wait(cache.append("java:a", "2")));
    check("prepend", wait(cache.prepend("java:a", "0")));
    check("append and prepend keep the value", "012".equals(cache.get("java:a")));
    wait(cache.set("java:list", 0, new ArrayList<>(List.of(1, 2))));
    check("flags say what was serialized", List.of(1, 2).equals(cache.get("java:list")));
  }

  private void many() throws Exception {
    Map<String, Object> items = new HashMap<>();
    List<Future<Boolean>> replies = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      items.put("java:m" + i, "v" + i);
      replies.add(cache.set("java:m" + i, 0, "v" + i));
    }
    for (Future<Boolean> reply : replies) {
      wait(reply);
    }
    List<String> keys = new ArrayList<>(items.keySet());
    keys.add("java:none");
    check("getBulk", items.equals(cache.getBulk(keys)));
    List<Future<Object>> gets = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      gets.add(cache.asyncGet("java:m" + i));
    }
    for (int i = 0; i < 100; i++) {
      if (!("v" + i).equals(wait(gets.get(i)))) {
        check("pipelined get " + i, false);
      }
    }
    check("100 pipelined gets", true);
  }

  private void delete() throws Exception {
    wait(cache.set("java:d", 0, "x"));
    check("delete", wait(cache.delete("java:d")));
    check("delete of a missing key", !wait(cache.delete("java:d")));
    check("get after delete", cache.get("java:d") == null);
  }

  private void arithmetic() throws Exception {
    wait(cache.set("java:n", 0, "10"));
    check("incr", cache.incr("java:n", 32) == 42);
    check("decr", cache.decr("java:n", 2) == 40);
    check("decr stops at 0", cache.decr("java:n", 1000) == 0);
    check("incr of a missing key", cache.incr("java:none", 1) == -1);
    check("incr that makes the counter", cache.incr("java:counter", 1, 7, 600) == 7);
  }

  private void cas() throws Exception {
    wait(cache.set("java:c", 0, "old"));
    CASValue<Object> found = cache.gets("java:c");
    check("gets", "old".equals(found.getValue()) && found.getCas() > 0);
    check("cas", cache.cas("java:c", found.getCas(), "new") == CASResponse.OK);
    check("cas with an old token", cache.cas("java:c", found.getCas(), "x") == CASResponse.EXISTS);
    check(
        "cas of a missing key",
        cache.cas("java:none", found.getCas(), "x") == CASResponse.NOT_FOUND);
    check("get after cas", "new".equals(cache.get("java:c")));
  }

  private void timeToLive() throws Exception {
    wait(cache.set("java:t", 600, "x"));
    check("touch", wait(cache.touch("java:t", 1)));
    check("a touched item expires", expires("java:t"));
    check("touch of a missing key", !wait(cache.touch("java:t", 1)));
    wait(cache.set("java:e", 1, "x"));
    check("an item expires", expires("java:e"));
  }

  /** Whether the key is gone before the deadline. */
  private boolean expires(String key) throws InterruptedException {
    for (long end = System.currentTimeMillis() + DEADLINE_MS; System.currentTimeMillis() < end; ) {
      if (cache.get(key) == null) {
        return true;
      }
      Thread.sleep(50);
    }
    return false;
  }

  private void values() throws Exception {
    byte[] large = new byte[900 * 1024];
    for (int i = 0; i < large.length; i++) {
      large[i] = (byte) (i * 31 % 251);
    }
    check("set of 900 KB", wait(cache.set("java:large", 0, large)));
    check("get of 900 KB", Arrays.equals(large, (byte[]) cache.get("java:large")));
    byte[] binary = Arrays.copyOf("\r\nEND\r\n\0\r\n".getBytes(StandardCharsets.US_ASCII), 266);
    for (int i = 0; i < 256; i++) {
      binary[10 + i] = (byte) i;
    }
    wait(cache.set("java:binary", 0, binary));
    check("every byte comes back", Arrays.equals(binary, (byte[]) cache.get("java:binary")));
    wait(cache.set("java:empty", 0, ""));
    check("an empty value comes back", "".equals(cache.get("java:empty")));
  }

  private void server() throws Exception {
    String version = cache.getVersions().values().iterator().next();
    int[] numbers = Arrays.stream(version.split("\\.")).mapToInt(Integer::parseInt).toArray();
    check("version is 1.6.27 or newer", Arrays.compare(numbers, new int[] {1, 6, 27}) >= 0);
    Map<String, String> stats = cache.getStats().values().iterator().next();
    check("stats", Long.parseLong(stats.get("cmd_get")) > 0);
    check("flush", wait(cache.flush()));
    check("get after flush", cache.get("java:a") == null);
  }
}
