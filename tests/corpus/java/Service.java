import com.google.gson.Gson;
import com.google.gson.JsonParser;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.zip.GZIPOutputStream;
import javax.imageio.ImageIO;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.xml.parsers.DocumentBuilderFactory;

/** A service by HTTP that asks itself by TLS, and does a few things more. */
public final class Service {
    private static final char[] PASSWORD = "corpus".toCharArray();
    private static final Gson GSON = new Gson();

    private interface Answer {
        Object to(String query) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        serve(server, "/hello", query -> Map.of("greeting", "hello " + query));
        serve(server, "/tls", query -> Map.of("by TLS", overTls()));
        serve(server, "/roots", query -> Map.of("roots", defaultRoots() > 0));
        serve(server, "/time", query ->
            Map.of("time", Instant.EPOCH.atZone(ZoneId.of(query)).toString()));
        serve(server, "/encode", query -> "日本".getBytes(Charset.forName(query)).length);
        serve(server, "/zip", query -> {
            var bytes = new ByteArrayOutputStream();
            try (var zipped = new GZIPOutputStream(bytes)) {
                zipped.write(new byte[1 << 16]);
            }
            return Map.of("shrunk", bytes.size() < 1 << 10);
        });
        serve(server, "/xml", query -> {
            var text = "<a><b>content</b></a>".getBytes(StandardCharsets.UTF_8);
            var document = DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new ByteArrayInputStream(text));
            return List.of(document.getElementsByTagName("b").item(0).getTextContent());
        });
        serve(server, "/threads", query ->
            Map.of("threads", ManagementFactory.getThreadMXBean().getThreadCount() > 1,
                "heap", ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed() > 0));
        serve(server, "/image", query -> {
            var image = new BufferedImage(16, 16, BufferedImage.TYPE_INT_RGB);
            image.createGraphics().setColor(Color.RED);
            image.setRGB(1, 1, Color.RED.getRGB());
            var bytes = new ByteArrayOutputStream();
            ImageIO.write(image, "png", bytes);
            return Map.of("png", bytes.size() > 50);
        });
        startTls();
        server.start();
        System.out.println("listening");
    }

    private static void serve(HttpServer server, String path, Answer answer) {
        server.createContext(path, exchange -> {
            int status = 200;
            String text;
            try {
                String query = exchange.getRequestURI().getQuery();
                text = GSON.toJson(answer.to(query == null ? "" : query));
            } catch (Throwable error) {
                error.printStackTrace();
                status = 500;
                text = error.toString();
            }
            respond(exchange, status, text);
        });
    }

    private static void respond(HttpExchange exchange, int status, String text)
            throws java.io.IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        try (var stream = exchange.getResponseBody()) {
            stream.write(body);
        }
    }

    private static KeyStore keys() throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (var file = new FileInputStream("keys.p12")) {
            keys.load(file, PASSWORD);
        }
        return keys;
    }

    private static void startTls() throws Exception {
        var managers = KeyManagerFactory.getInstance("PKIX");
        managers.init(keys(), PASSWORD);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", 8443), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context));
        server.createContext("/", exchange -> respond(exchange, 200, "{\"secret\": 42}"));
        server.start();
    }

    private static int overTls() throws Exception {
        var managers = TrustManagerFactory.getInstance("PKIX");
        managers.init(keys());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        var client = HttpClient.newBuilder().sslContext(context).build();
        var request = HttpRequest.newBuilder(URI.create("https://localhost:8443/")).build();
        var response = client.send(request, HttpResponse.BodyHandlers.ofString());
        return JsonParser.parseString(response.body()).getAsJsonObject().get("secret").getAsInt();
    }

    private static int defaultRoots() throws Exception {
        var managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init((KeyStore) null);
        return ((javax.net.ssl.X509TrustManager) managers.getTrustManagers()[0])
            .getAcceptedIssuers().length;
    }
}
