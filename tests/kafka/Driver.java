// Does at a broker what the test asks for on standard input, with Kafka's own client. Answers a line a command.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Driver {
    static String broker;
    static Admin admin;
    static final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();

    public static void main(String[] args) throws Exception {
        broker = args[0];
        admin = Admin.create(Map.of("bootstrap.servers", broker));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String answer;
            try {
                answer = "ok " + run(line.split("\t"));
            } catch (Exception e) {
                answer = "failed " + e;
            }
            System.out.println(answer);
            System.out.flush();
        }
    }

    static String run(String[] c) throws Exception {
        switch (c[0]) {
            case "create":
                admin.createTopics(List.of(new NewTopic(c[1], Integer.parseInt(c[2]), (short) 1))).all().get();
                return "";
            case "delete":
                admin.deleteTopics(List.of(c[1])).all().get();
                return "";
            case "grow":
                admin.createPartitions(Map.of(c[1], NewPartitions.increaseTo(Integer.parseInt(c[2])))).all().get();
                return "";
            case "trim":
                admin.deleteRecords(Map.of(new TopicPartition(c[1], Integer.parseInt(c[2])),
                    RecordsToDelete.beforeOffset(Long.parseLong(c[3])))).all().get();
                return "";
            case "ends":
                return String.valueOf(ends(c[1], Integer.parseInt(c[2])));
            case "send":
                byte[] value = c.length > 3 ? c[3].getBytes(StandardCharsets.ISO_8859_1) : null;
                producer("none").send(new ProducerRecord<>(c[1], Integer.parseInt(c[2]), null, value)).get();
                return "";
            case "numbers":
                numbers(producer(c[2]), c[1], Integer.parseInt(c[3]), Long.parseLong(c[4]), Long.parseLong(c[5]));
                return "";
            case "transaction":
                KafkaProducer<byte[], byte[]> producer = producer("transaction");
                producer.beginTransaction();
                numbers(producer, c[1], Integer.parseInt(c[3]), Long.parseLong(c[4]), Long.parseLong(c[5]));
                if (c[2].equals("commit")) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                return "";
            default:
                throw new IllegalArgumentException(c[0]);
        }
    }

    /** Sends a message for each number, and waits until the broker has them all. */
    static void numbers(KafkaProducer<byte[], byte[]> producer, String topic, int partitions, long from, long to)
            throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (long n = from; n < to; n++) {
            String event = "{\"n\":" + n + ",\"event\":{\"type\":\"message\",\"user_id\":\"user-" + n % 1000
                + "\"},\"text\":\"what user " + n % 1000 + " said in message " + n + "\",\"ratio\":0." + n % 97 + "}";
            sent.add(producer.send(new ProducerRecord<>(topic, (int) (n % partitions), null,
                event.getBytes(StandardCharsets.UTF_8))));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    static long ends(String topic, int partitions) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (int p = 0; p < partitions; p++) {
            asked.put(new TopicPartition(topic, p), OffsetSpec.latest());
        }
        long sum = 0;
        for (ListOffsetsResult.ListOffsetsResultInfo end : admin.listOffsets(asked).all().get().values()) {
            sum += end.offset();
        }
        return sum;
    }

    static KafkaProducer<byte[], byte[]> producer(String kind) {
        return producers.computeIfAbsent(kind, k -> {
            Properties p = new Properties();
            p.put("bootstrap.servers", broker);
            p.put("key.serializer", ByteArraySerializer.class.getName());
            p.put("value.serializer", ByteArraySerializer.class.getName());
            p.put("linger.ms", "5");
            boolean transactional = k.equals("transaction");
            p.put("compression.type", transactional ? "zstd" : k);
            if (transactional) {
                p.put("transactional.id", "driver");
            }
            KafkaProducer<byte[], byte[]> made = new KafkaProducer<>(p);
            if (transactional) {
                made.initTransactions();
            }
            return made;
        });
    }
}
